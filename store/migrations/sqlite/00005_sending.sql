-- +goose Up
-- Which replica sends the messages of a load balancer, until when.
CREATE TABLE IF NOT EXISTS sending_leases (
    loadbalancer_id TEXT NOT NULL PRIMARY KEY,
    owner           TEXT NOT NULL,
    expires_at      TEXT NOT NULL
);
