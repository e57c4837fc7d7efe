-- +goose Up
-- What an amphora's agent said last of members and listeners: JSON of its reader's.
CREATE TABLE IF NOT EXISTS amphora_health (
    amphora_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    loadbalancer_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    view            LONGTEXT NOT NULL,
    updated_at      DATETIME(6) NOT NULL,
    KEY amphora_health_loadbalancer_id (loadbalancer_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What Octavia has been told of how objects operate, outbox included, and when to see whether that is still so.
CREATE TABLE IF NOT EXISTS reported_statuses (
    loadbalancer_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    statuses        LONGTEXT NOT NULL,
    refused         LONGTEXT NOT NULL,
    published_at    DATETIME(6) NULL,
    message_id      BIGINT NOT NULL,
    spoke_at        DATETIME(6) NULL,
    pause_ms        BIGINT NOT NULL,
    settle_at       DATETIME(6) NULL,
    changed_at      DATETIME(6) NULL,
    KEY reported_statuses_settle_at (settle_at),
    CONSTRAINT reported_statuses_load_balancer FOREIGN KEY (loadbalancer_id) REFERENCES load_balancers (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
