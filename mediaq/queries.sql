-- Every query that mediaq runs, by name; a test prepares each one. Names of tables are qualified,
-- so that a connection needs no search_path.

-- name: lock_migrations
SELECT pg_advisory_lock($1);

-- name: prepare_ledger
CREATE SCHEMA IF NOT EXISTS mediaq;
CREATE TABLE IF NOT EXISTS mediaq.migrations (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    applied_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
);
SET LOCAL search_path = mediaq, pg_temp;
SET LOCAL lock_timeout = '10s';

-- name: ledger_exists
SELECT to_regclass('mediaq.migrations') IS NOT NULL;

-- name: ledger
SELECT namespace, name, sha256 FROM mediaq.migrations;

-- name: enter_in_ledger
INSERT INTO mediaq.migrations (namespace, name, sha256, duration_ms) VALUES ($1, $2, $3, $4);

-- name: insert_request
INSERT INTO public.media_analysis_requests (
    media_type, media_url, media_path, prompt, options, user_metadata, priority, run_after,
    callback_url, created_by, source_endpoint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING request_id, status, media_type, created_at;

-- name: claim
UPDATE public.media_analysis_requests
   SET status = 'processing'
 WHERE request_id = $1 AND status = 'pending' AND (run_after IS NULL OR run_after <= now())
RETURNING request_id, attempt, failed_attempts, media_type, media_url, media_path, prompt, options;

-- name: claim_many
-- Rows that someone else holds are left for the statement above: a statement that waits for one row
-- while it holds another could deadlock with a client's bulk update.
WITH free AS (
    SELECT request_id FROM public.media_analysis_requests
     WHERE request_id = ANY ($1) AND status = 'pending' AND (run_after IS NULL OR run_after <= now())
       FOR NO KEY UPDATE SKIP LOCKED)
UPDATE public.media_analysis_requests AS r
   SET status = 'processing'
  FROM free WHERE r.request_id = free.request_id
RETURNING r.request_id, attempt, failed_attempts, media_type, media_url, media_path, prompt, options;

-- name: done_steps
SELECT step FROM mediaq.steps WHERE request_id = $1;

-- name: done_results
SELECT result_type, content_json FROM public.media_analysis_results
 WHERE request_id = $1 AND provider = 'internal';

-- name: hold_attempt
-- The fence: no row comes back when the attempt is over, whoever ended it.
SELECT TRUE FROM public.media_analysis_requests
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing'
   FOR NO KEY UPDATE;

-- name: insert_files
INSERT INTO public.media_files (
    request_id, file_id, file_type, file_path, file_name, file_size_bytes, mime_type, width, height,
    duration_seconds, frame_number, sequence_order, checksum, storage_location, remote_url, metadata)
SELECT $1, f.* FROM unnest(
    $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::integer[],
    $9::integer[], $10::numeric[], $11::integer[], $12::integer[], $13::text[], $14::text[],
    $15::text[], $16::jsonb[]) AS f;

-- name: insert_sheet
INSERT INTO public.contact_sheets (
    request_id, file_id, grid_cols, grid_rows, frame_count, frames_per_sheet, sheet_number,
    total_sheets, frame_interval_seconds, image_width, image_height, thumbnail_width,
    thumbnail_height, generation_method, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'custom', $14);

-- name: insert_result
INSERT INTO public.media_analysis_results (
    request_id, result_type, provider, model_name, content, content_json, confidence_score,
    processing_time_ms, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: insert_step
INSERT INTO mediaq.steps (request_id, step, attempt, duration_ms) VALUES ($1, $2, $3, $4);

-- name: set_media_type
UPDATE public.media_analysis_requests SET media_type = $3
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing' AND media_type = 'auto';

-- name: insert_progress
INSERT INTO mediaq.events (request_id, event, status, media_type, attempt, data)
SELECT request_id, 'progress', status, media_type, attempt, $3
  FROM public.media_analysis_requests
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing'
   FOR NO KEY UPDATE;

-- name: commit_lazily
-- Progress may be lost in a crash of the server; in return its commits do not wait for the disk.
SET LOCAL synchronous_commit = off;

-- name: complete
UPDATE public.media_analysis_requests
   SET status = 'completed', error_message = NULL, error_details = '{}'
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing'
RETURNING TRUE;

-- name: complete_many
-- As claim_many with regard to rows that someone else holds.
WITH free AS (
    SELECT r.request_id FROM public.media_analysis_requests AS r
      JOIN unnest($1::uuid[], $2::integer[]) AS ended (request_id, attempt) USING (request_id)
     WHERE r.attempt = ended.attempt AND r.status = 'processing'
       FOR NO KEY UPDATE OF r SKIP LOCKED)
UPDATE public.media_analysis_requests AS r
   SET status = 'completed', error_message = NULL, error_details = '{}'
  FROM free WHERE r.request_id = free.request_id
RETURNING r.request_id;

-- name: fail
UPDATE public.media_analysis_requests
   SET status = 'failed', error_message = $3, error_details = $4
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing'
RETURNING TRUE;

-- name: retry
UPDATE public.media_analysis_requests
   SET status = 'pending', failed_attempts = failed_attempts + 1,
       run_after = now() + make_interval(secs => $5), error_message = $3, error_details = $4
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing'
RETURNING TRUE;

-- name: give_back
-- The worker stops: the attempt did not fail, so it is not counted.
UPDATE public.media_analysis_requests
   SET status = 'pending', run_after = NULL
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing'
RETURNING TRUE;

-- name: detail
SELECT (to_jsonb(r) || jsonb_build_object(
    'results', (
        SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.created_at, x.result_type), '[]')
          FROM public.media_analysis_results AS x WHERE x.request_id = r.request_id),
    'files', (
        SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.file_type, x.sequence_order, x.file_id), '[]')
          FROM public.media_files AS x WHERE x.request_id = r.request_id),
    'contact_sheets', (
        SELECT coalesce(jsonb_agg(to_jsonb(x) || jsonb_build_object('file_path', f.file_path)
                                  ORDER BY x.sheet_number), '[]')
          FROM public.contact_sheets AS x LEFT JOIN public.media_files AS f USING (file_id)
         WHERE x.request_id = r.request_id),
    'steps', (
        SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.finished_at), '[]')
          FROM mediaq.steps AS x WHERE x.request_id = r.request_id)
    ))::text
  FROM public.media_analysis_requests AS r
 WHERE r.request_id = $1;

-- name: list_requests
SELECT to_jsonb(r)::text
  FROM public.media_analysis_requests AS r
 WHERE ($1::text IS NULL OR r.status = $1) AND ($2::text IS NULL OR r.media_type = $2)
 ORDER BY r.created_at DESC, r.request_id
 LIMIT $3 OFFSET $4;

-- name: request_status
SELECT status FROM public.media_analysis_requests WHERE request_id = $1;

-- name: queue_depth
SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
       count(*) FILTER (WHERE status = 'processing') AS processing,
       coalesce(extract(epoch FROM now() - min(coalesce(run_after, created_at))
           FILTER (WHERE status = 'pending')), 0)::float8 AS oldest_pending_seconds
  FROM public.media_analysis_requests
 WHERE status IN ('pending', 'processing');

-- name: workers_alive
SELECT count(*) FROM mediaq.procrastinate_workers
 WHERE last_heartbeat > now() - make_interval(secs => $1);

-- name: events_of_request
SELECT event_id, request_id, event, status, media_type, attempt, at, error, data
  FROM mediaq.events
 WHERE request_id = $1 AND event_id > $2
 ORDER BY event_id
 LIMIT $3;

-- name: feed
-- Rows of transactions that began after the oldest one still running are not settled: another row
-- may yet appear before them.
SELECT event_id, request_id, event, status, media_type, attempt, at, error, data,
       xid::text AS transaction, xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled
  FROM mediaq.events
 WHERE (xid, event_id) > ($1::text::xid8, $2)
 ORDER BY xid, event_id
 LIMIT $3;

-- name: feed_end
SELECT pg_snapshot_xmin(pg_current_snapshot())::text;

-- name: feed_position
-- Where an event stands in the feed; when it was pruned, the first one after it.
SELECT xid::text AS transaction, event_id - (event_id > $1)::integer AS before
  FROM mediaq.events WHERE event_id >= $1 ORDER BY event_id LIMIT 1;

-- name: server_facts
SELECT current_setting('server_version') AS version, current_database() AS database,
       current_user AS role, now() AS at;

-- name: ring
SELECT pg_notify($1, '');

-- name: ping
SELECT 1;

-- name: claim_jobs
SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name,
       attempts, worker_id
  FROM mediaq.claim_jobs($1, $2, $3);

-- name: finish_jobs
SELECT mediaq.finish_jobs($1, $2, $3, $4);

-- name: give_back_jobs
SELECT mediaq.give_back_jobs($1, $2);

-- name: beat
-- Another worker may have removed our row while the database or we were away: put it back.
INSERT INTO mediaq.procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES ($1)
ON CONFLICT (id) DO UPDATE SET last_heartbeat = now();

-- name: adopt_jobs
-- With that row, the jobs that run here lost our name.
UPDATE mediaq.procrastinate_jobs SET worker_id = $1
 WHERE id = ANY ($2) AND status = 'doing' AND worker_id IS NULL;
