-- +goose Up
-- What the amphorae of a load balancer have counted: JSON of model.AmphoraStatistics. The amphora '' is the sum of those
-- that are gone.
CREATE TABLE IF NOT EXISTS amphora_statistics (
    loadbalancer_id TEXT NOT NULL REFERENCES load_balancers (id),
    amphora_id      TEXT NOT NULL,
    counted         TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    PRIMARY KEY (loadbalancer_id, amphora_id)
);
