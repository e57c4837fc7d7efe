-- +goose Up
-- What the certificates of a load balancer need, sealed with a key that is not in the database.
CREATE TABLE IF NOT EXISTS secrets (
    loadbalancer_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    key_id          VARCHAR(64) NOT NULL,
    sealed          LONGBLOB NOT NULL,
    updated_at      DATETIME(6) NOT NULL,
    CONSTRAINT secrets_load_balancer FOREIGN KEY (loadbalancer_id) REFERENCES load_balancers (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Answers of OCSP responders, in DER; public. The fingerprint is the certificate's SHA-256 in hex.
CREATE TABLE IF NOT EXISTS ocsp_responses (
    fingerprint     CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    response        LONGBLOB NOT NULL,
    fetched_at      DATETIME(6) NOT NULL,
    used_at         DATETIME(6) NOT NULL,
    KEY ocsp_responses_used_at (used_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
