-- +goose Up
-- What the certificates of a load balancer need, sealed with a key that is not in the database.
CREATE TABLE IF NOT EXISTS secrets (
    loadbalancer_id TEXT NOT NULL PRIMARY KEY REFERENCES load_balancers (id),
    key_id          TEXT NOT NULL,
    sealed          BYTEA NOT NULL,
    updated_at      TIMESTAMPTZ(6) NOT NULL
);

-- Answers of OCSP responders, in DER; public. The fingerprint is the certificate's SHA-256 in hex.
CREATE TABLE IF NOT EXISTS ocsp_responses (
    fingerprint     TEXT NOT NULL PRIMARY KEY,
    response        BYTEA NOT NULL,
    fetched_at      TIMESTAMPTZ(6) NOT NULL,
    used_at         TIMESTAMPTZ(6) NOT NULL
);
CREATE INDEX IF NOT EXISTS ocsp_responses_used_at ON ocsp_responses (used_at);
