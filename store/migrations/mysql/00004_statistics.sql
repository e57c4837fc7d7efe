-- +goose Up
-- What the amphorae of a load balancer have counted: JSON of model.AmphoraStatistics. The amphora '' is the sum of those
-- that are gone.
CREATE TABLE IF NOT EXISTS amphora_statistics (
    loadbalancer_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    amphora_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    counted         LONGTEXT NOT NULL,
    updated_at      DATETIME(6) NOT NULL,
    PRIMARY KEY (loadbalancer_id, amphora_id),
    CONSTRAINT amphora_statistics_load_balancer FOREIGN KEY (loadbalancer_id) REFERENCES load_balancers (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
