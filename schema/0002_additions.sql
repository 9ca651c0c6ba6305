-- What mediaq adds: columns that are nullable or defaulted, the steps done, the events to read.

ALTER TABLE public.media_analysis_requests
    ALTER COLUMN media_type SET DEFAULT 'auto',
    -- Counts claims; every write of an attempt is fenced by it. Kept by the database alone.
    ADD COLUMN IF NOT EXISTS attempt INTEGER NOT NULL DEFAULT 0,
    -- Attempts in a row that ended in trouble that may heal; a new ask starts again at 0.
    ADD COLUMN IF NOT EXISTS failed_attempts INTEGER NOT NULL DEFAULT 0,
    -- Higher runs first.
    ADD COLUMN IF NOT EXISTS priority INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS run_after TIMESTAMP WITH TIME ZONE,
    ADD COLUMN IF NOT EXISTS options JSONB NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS callback_url TEXT,
    ADD COLUMN IF NOT EXISTS idempotency_key TEXT,
    -- Of all that was asked under the key: the same key with another request is a mistake.
    ADD COLUMN IF NOT EXISTS idempotency_fingerprint TEXT,
    ADD COLUMN IF NOT EXISTS model_used VARCHAR(100);

-- The column is new and empty, so the index is built at once.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX IF NOT EXISTS idx_media_requests_idempotency
    ON public.media_analysis_requests (coalesce(created_by, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

ALTER TABLE public.media_analysis_results
    ADD COLUMN IF NOT EXISTS prompt_used TEXT,
    ADD COLUMN IF NOT EXISTS input_tokens INTEGER,
    ADD COLUMN IF NOT EXISTS output_tokens INTEGER;

ALTER TABLE public.media_files
    -- Where the bytes came from, when the file is a copy of something.
    ADD COLUMN IF NOT EXISTS original_path TEXT,
    ADD COLUMN IF NOT EXISTS expires_at TIMESTAMP WITH TIME ZONE,
    -- Of a frame: {"seconds": where it was taken, "wanted_seconds": where it was looked for}.
    ADD COLUMN IF NOT EXISTS metadata JSONB NOT NULL DEFAULT '{}';

ALTER TABLE public.contact_sheets
    -- {"method": how frames were found, "notes": what was left out and why}.
    ADD COLUMN IF NOT EXISTS metadata JSONB NOT NULL DEFAULT '{}';

-- A step that has a row here is never run again for its request.
CREATE TABLE mediaq.steps (
    request_id UUID NOT NULL REFERENCES public.media_analysis_requests (request_id) ON DELETE CASCADE,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (request_id, step)
);

-- The messages that bells point to. They outlive their request, so there is no foreign key.
CREATE TABLE mediaq.events (
    event_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Ids are drawn before commit, so a reader of the whole feed orders by transaction instead and
    -- stops below the oldest one that still runs: nothing can appear behind its cursor.
    xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
    request_id UUID NOT NULL,
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    media_type TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
    error TEXT,
    data JSONB NOT NULL DEFAULT '{}'
);

CREATE INDEX events_feed_idx ON mediaq.events (xid, event_id);
-- All events of one request are written under its row lock, so their ids are in commit order.
CREATE INDEX events_request_idx ON mediaq.events (request_id, event_id);
