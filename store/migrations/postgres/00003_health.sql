-- +goose Up
-- What an amphora's agent said last of members and listeners: JSON of its reader's.
CREATE TABLE IF NOT EXISTS amphora_health (
    amphora_id      TEXT NOT NULL PRIMARY KEY,
    loadbalancer_id TEXT NOT NULL,
    view            TEXT NOT NULL,
    updated_at      TIMESTAMPTZ(6) NOT NULL
);
CREATE INDEX IF NOT EXISTS amphora_health_loadbalancer_id ON amphora_health (loadbalancer_id);

-- What Octavia has been told of how objects operate, outbox included, and when to see whether that is still so.
CREATE TABLE IF NOT EXISTS reported_statuses (
    loadbalancer_id TEXT   NOT NULL PRIMARY KEY REFERENCES load_balancers (id),
    statuses        TEXT   NOT NULL,
    refused         TEXT   NOT NULL,
    published_at    TIMESTAMPTZ(6),
    message_id      BIGINT NOT NULL,
    spoke_at        TIMESTAMPTZ(6),
    pause_ms        BIGINT NOT NULL,
    settle_at       TIMESTAMPTZ(6),
    changed_at      TIMESTAMPTZ(6)
);
CREATE INDEX IF NOT EXISTS reported_statuses_settle_at ON reported_statuses (settle_at);
