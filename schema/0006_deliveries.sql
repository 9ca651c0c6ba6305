-- Every call of a callback_url, with what came of it.

CREATE TABLE mediaq.deliveries (
    request_id UUID NOT NULL REFERENCES public.media_analysis_requests (request_id) ON DELETE CASCADE,
    -- The end that is told; a request that is asked again ends again.
    event_id BIGINT NOT NULL,
    -- Counts the calls for one end.
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    event TEXT NOT NULL CHECK (event IN ('completed', 'failed', 'cancelled')),
    -- The same in every call for one end, so that a receiver knows a repetition.
    webhook_id TEXT NOT NULL,
    url TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    duration_ms INTEGER NOT NULL,
    -- delivered; retried: called again at next_at; stopped: by the receiver, or since the address
    -- is not allowed; given_up: not answered well in time.
    outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'retried', 'stopped', 'given_up')),
    -- NULL when there was no answer.
    status_code INTEGER,
    error TEXT CHECK ((error IS NULL) = (outcome = 'delivered')),
    -- The beginning of the answer's body, for whoever looks closer; no view or API shows it.
    response TEXT,
    next_at TIMESTAMP WITH TIME ZONE CHECK ((next_at IS NOT NULL) = (outcome = 'retried')),
    PRIMARY KEY (request_id, event_id, attempt)
);
