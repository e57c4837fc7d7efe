-- +goose Up
-- Which replica sends the messages of a load balancer, until when.
CREATE TABLE IF NOT EXISTS sending_leases (
    loadbalancer_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    owner           VARCHAR(255) NOT NULL,
    expires_at      DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
