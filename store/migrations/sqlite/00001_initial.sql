-- +goose Up
-- Times are UTC text with microseconds, "2006-01-02 15:04:05.000000": fixed width, so that they sort as text.

CREATE TABLE IF NOT EXISTS load_balancers (
    id                  TEXT    NOT NULL PRIMARY KEY,
    project_id          TEXT    NOT NULL,
    name                TEXT    NOT NULL,
    tree                TEXT,
    revision            INTEGER NOT NULL,
    provisioning_status TEXT    NOT NULL,
    operating_status    TEXT    NOT NULL,
    last_error          TEXT    NOT NULL,
    retry_at            TEXT,
    created_at          TEXT    NOT NULL,
    updated_at          TEXT    NOT NULL
);
CREATE INDEX IF NOT EXISTS load_balancers_retry_at ON load_balancers (retry_at);

CREATE TABLE IF NOT EXISTS objects (
    kind            TEXT NOT NULL,
    id              TEXT NOT NULL,
    loadbalancer_id TEXT NOT NULL REFERENCES load_balancers (id),
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_loadbalancer_id ON objects (loadbalancer_id);

-- AUTOINCREMENT: without it SQLite gives the highest id again once its row is gone.
CREATE TABLE IF NOT EXISTS intents (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    loadbalancer_id TEXT NOT NULL REFERENCES load_balancers (id),
    intent          TEXT NOT NULL,
    created_at      TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS intents_loadbalancer_id ON intents (loadbalancer_id, id);

-- No reference to load_balancers: a DELETED message outlives its load balancer.
CREATE TABLE IF NOT EXISTS outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    loadbalancer_id TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    newer_intent    BOOLEAN NOT NULL,
    attempts        INTEGER NOT NULL,
    last_error      TEXT    NOT NULL,
    next_attempt_at TEXT,
    created_at      TEXT    NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_loadbalancer_id ON outbox (loadbalancer_id, id);

CREATE TABLE IF NOT EXISTS audit (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    at              TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    loadbalancer_id TEXT NOT NULL,
    action          TEXT NOT NULL,
    object_kind     TEXT NOT NULL,
    object_id       TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    message         TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_loadbalancer_id ON audit (loadbalancer_id, id);
CREATE INDEX IF NOT EXISTS audit_at ON audit (at);

CREATE TABLE IF NOT EXISTS amphorae (
    id              TEXT NOT NULL PRIMARY KEY,
    loadbalancer_id TEXT NOT NULL,
    status          TEXT NOT NULL,
    role            TEXT NOT NULL,
    compute         TEXT NOT NULL,
    compute_id      TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    last_heartbeat  TEXT
);
CREATE INDEX IF NOT EXISTS amphorae_loadbalancer_id ON amphorae (loadbalancer_id);

CREATE TABLE IF NOT EXISTS vip_ports (
    loadbalancer_id TEXT    NOT NULL PRIMARY KEY,
    port_id         TEXT    NOT NULL,
    project_id      TEXT    NOT NULL,
    claimed         BOOLEAN NOT NULL,
    created_at      TEXT    NOT NULL
);
CREATE INDEX IF NOT EXISTS vip_ports_created_at ON vip_ports (claimed, created_at);

CREATE TABLE IF NOT EXISTS leases (
    loadbalancer_id TEXT NOT NULL PRIMARY KEY,
    owner           TEXT NOT NULL,
    expires_at      TEXT NOT NULL
);
