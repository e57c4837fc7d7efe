-- +goose Up
-- MariaDB 10.6, MySQL 8.0 and later. DDL commits by itself here: IF NOT EXISTS lets a migration that was cut off run again.
-- Times are UTC with microseconds.

CREATE TABLE IF NOT EXISTS load_balancers (
    id                  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    project_id          VARCHAR(255) NOT NULL,
    name                VARCHAR(255) NOT NULL,
    tree                LONGTEXT NULL,
    revision            BIGINT NOT NULL,
    provisioning_status VARCHAR(32) NOT NULL,
    operating_status    VARCHAR(32) NOT NULL,
    last_error          MEDIUMTEXT NOT NULL,
    retry_at            DATETIME(6) NULL,
    created_at          DATETIME(6) NOT NULL,
    updated_at          DATETIME(6) NOT NULL,
    KEY load_balancers_retry_at (retry_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS objects (
    kind                VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    id                  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    loadbalancer_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (kind, id),
    KEY objects_loadbalancer_id (loadbalancer_id),
    CONSTRAINT objects_load_balancer FOREIGN KEY (loadbalancer_id) REFERENCES load_balancers (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS intents (
    id                  BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    loadbalancer_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    intent              LONGTEXT NOT NULL,
    created_at          DATETIME(6) NOT NULL,
    KEY intents_loadbalancer_id (loadbalancer_id, id),
    CONSTRAINT intents_load_balancer FOREIGN KEY (loadbalancer_id) REFERENCES load_balancers (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- No reference to load_balancers: a DELETED message outlives its load balancer.
CREATE TABLE IF NOT EXISTS outbox (
    id                  BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    loadbalancer_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status              LONGTEXT NOT NULL,
    newer_intent        BOOLEAN NOT NULL,
    attempts            INT NOT NULL,
    last_error          MEDIUMTEXT NOT NULL,
    next_attempt_at     DATETIME(6) NULL,
    created_at          DATETIME(6) NOT NULL,
    KEY outbox_loadbalancer_id (loadbalancer_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS audit (
    id                  BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at                  DATETIME(6) NOT NULL,
    request_id          VARCHAR(255) NOT NULL,
    project_id          VARCHAR(255) NOT NULL,
    user_id             VARCHAR(255) NOT NULL,
    loadbalancer_id     VARCHAR(255) NOT NULL,
    action              VARCHAR(255) NOT NULL,
    object_kind         VARCHAR(255) NOT NULL,
    object_id           VARCHAR(255) NOT NULL,
    outcome             VARCHAR(255) NOT NULL,
    message             MEDIUMTEXT NOT NULL,
    KEY audit_loadbalancer_id (loadbalancer_id, id),
    KEY audit_at (at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS amphorae (
    id                  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    loadbalancer_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status              VARCHAR(32) NOT NULL,
    role                VARCHAR(32) NOT NULL,
    compute             VARCHAR(32) NOT NULL,
    compute_id          VARCHAR(255) NOT NULL,
    created_at          DATETIME(6) NOT NULL,
    last_heartbeat      DATETIME(6) NULL,
    KEY amphorae_loadbalancer_id (loadbalancer_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS vip_ports (
    loadbalancer_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    port_id             CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    project_id          VARCHAR(255) NOT NULL,
    claimed             BOOLEAN NOT NULL,
    created_at          DATETIME(6) NOT NULL,
    KEY vip_ports_created_at (claimed, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS leases (
    loadbalancer_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    owner               VARCHAR(255) NOT NULL,
    expires_at          DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
