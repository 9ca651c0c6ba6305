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
    request_id, media_type, media_url, media_path, prompt, options, user_metadata, priority,
    run_after, group_key, callback_url, created_by, source_endpoint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING request_id, status, media_type, created_at;

-- name: insert_request_once
-- The row that has the key already comes back when it was asked for the same, else none. The update
-- changes nothing: it is what lets the row be returned.
INSERT INTO public.media_analysis_requests AS r (
    request_id, media_type, media_url, media_path, prompt, options, user_metadata, priority,
    run_after, group_key, callback_url, created_by, source_endpoint, idempotency_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (coalesce(created_by, ''), idempotency_key) WHERE idempotency_key IS NOT NULL
DO UPDATE SET idempotency_key = r.idempotency_key
        WHERE r.idempotency_fingerprint = excluded.idempotency_fingerprint
RETURNING request_id, status, media_type, created_at;

-- name: refused_option
-- Which option a refusal is about: the one that is refused in the same words alone. No row when it
-- is not about options.
SELECT (SELECT key
          FROM jsonb_each(CASE jsonb_typeof($1) WHEN 'object' THEN $1 ELSE '{}' END)
         WHERE mediaq.options_problem(jsonb_build_object(key, value)) = $2) AS option
 WHERE mediaq.options_problem($1) = $2;

-- name: claim
-- A row that a client's open transaction holds is not waited for: the slot is for other requests.
WITH free AS (
    SELECT request_id FROM public.media_analysis_requests
     WHERE request_id = $1 AND status = 'pending' AND (run_after IS NULL OR run_after <= now())
       FOR NO KEY UPDATE NOWAIT
), claimed AS (
    UPDATE public.media_analysis_requests AS r
       SET status = 'processing'
      FROM free WHERE r.request_id = free.request_id
    RETURNING r.request_id, attempt, failed_attempts, media_type, media_url, media_path, prompt, options
), noted AS (
    INSERT INTO mediaq.attempts (request_id, attempt, worker_id, worker)
    SELECT request_id, attempt, $2, $3 FROM claimed
)
SELECT * FROM claimed;

-- name: register_worker
INSERT INTO mediaq.workers (host, pid) VALUES ($1, $2) RETURNING worker_id;

-- name: keep_worker
-- A worker that was taken for dead and removed is one again.
INSERT INTO mediaq.workers (worker_id, host, pid) VALUES ($1, $2, $3)
    ON CONFLICT (worker_id) DO UPDATE SET seen_at = clock_timestamp();

-- name: unregister_worker
DELETE FROM mediaq.workers WHERE worker_id = $1;

-- name: over
-- Which of these attempts no longer hold their request, whoever ended them.
SELECT mine.request_id
  FROM unnest($1::uuid[], $2::integer[]) AS mine (request_id, attempt)
  LEFT JOIN public.media_analysis_requests AS r
    ON r.request_id = mine.request_id AND r.attempt = mine.attempt AND r.status = 'processing'
 WHERE r.request_id IS NULL;

-- name: sweep_requests
-- Requests whose worker is dead go back to the queue; the one that was there at the end of too
-- many workers is what ended them.
WITH lost AS (
    SELECT r.request_id, r.attempt, r.lost_attempts + 1 AS times, coalesce(a.worker, 'unknown') AS worker
      FROM public.media_analysis_requests AS r
      LEFT JOIN mediaq.attempts AS a ON (a.request_id, a.attempt) = (r.request_id, r.attempt)
     WHERE r.status = 'processing'
       AND r.started_at < now() - make_interval(secs => $1)
       AND NOT EXISTS (
           SELECT FROM mediaq.workers AS w
            WHERE w.worker_id = a.worker_id AND w.seen_at > now() - make_interval(secs => $1))
       FOR NO KEY UPDATE OF r SKIP LOCKED
)
UPDATE public.media_analysis_requests AS r
   SET status = CASE WHEN lost.times >= $2 THEN 'failed' ELSE 'pending' END,
       lost_attempts = lost.times,
       run_after = NULL,
       error_message = CASE WHEN lost.times >= $2
           THEN format('%s worker processes in a row ended while they worked on this request, the last one %s;'
                       ' it is not tried again', lost.times, lost.worker)
           ELSE format('worker %s was lost during the attempt', lost.worker) END,
       error_details = jsonb_build_object('class', 'WorkerLost', 'attempt', lost.attempt)
  FROM lost
 WHERE r.request_id = lost.request_id
RETURNING r.request_id, r.attempt, r.status, lost.worker;

-- name: give_back_unheld
-- What this worker claimed and knows nothing of goes back: the answer of the claim was lost with its
-- connection. Answers that may still be on their way are given the time.
UPDATE public.media_analysis_requests AS r
   SET status = 'pending', run_after = NULL
 WHERE r.request_id IN (
    SELECT r.request_id
      FROM public.media_analysis_requests AS r
      JOIN mediaq.attempts AS a ON (a.request_id, a.attempt) = (r.request_id, r.attempt)
     WHERE r.status = 'processing' AND a.worker_id = $1 AND NOT r.request_id = ANY ($2::uuid[])
       AND r.started_at < now() - make_interval(secs => $3)
       FOR NO KEY UPDATE OF r SKIP LOCKED)
RETURNING r.request_id;

-- name: sweep_jobs
-- Jobs of Procrastinate's workers that are gone; what they stood for decides whether to do it again.
SELECT j.id, mediaq.procrastinate_retry_job_v2(j.id, now(), NULL, NULL, NULL)
  FROM (
    SELECT id FROM mediaq.procrastinate_jobs AS j
     WHERE status = 'doing'
       AND NOT EXISTS (
           SELECT FROM mediaq.procrastinate_workers AS w
            WHERE w.id = j.worker_id AND w.last_heartbeat > now() - make_interval(secs => $1))
       FOR UPDATE SKIP LOCKED) AS j;

-- name: requeue_forgotten
-- Pending requests without a live job get one; called with a place to go on from, since there may be
-- millions. Returns the last row looked at.
WITH looked AS (
    SELECT request_id, created_at FROM public.media_analysis_requests
     WHERE status = 'pending' AND (created_at, request_id) > ($1::text::timestamptz, $2)
     ORDER BY created_at, request_id
     LIMIT $3
), forgotten AS (
    SELECT r.request_id FROM public.media_analysis_requests AS r JOIN looked USING (request_id)
     WHERE r.status = 'pending' AND NOT EXISTS (
        SELECT FROM mediaq.procrastinate_jobs AS j
         WHERE j.args ->> 'request_id' = r.request_id::text AND j.status IN ('todo', 'doing'))
       FOR NO KEY UPDATE OF r SKIP LOCKED
), queued AS (
    SELECT mediaq.queue_jobs(array_agg(request_id)), count(*) AS number FROM forgotten HAVING count(*) > 0
)
SELECT looked.created_at::text AS created_at, request_id,
       coalesce((SELECT number FROM queued), 0) AS requeued
  FROM looked ORDER BY looked.created_at DESC, request_id DESC LIMIT 1;

-- name: unused_copies
-- Of the uploads that were copied for one request, those that neither it nor another one names.
SELECT id FROM unnest($1::uuid[]) AS id
 WHERE NOT EXISTS (SELECT FROM public.media_analysis_requests AS r WHERE r.request_id = id)
   AND NOT id::text = ANY (ARRAY(
        SELECT substring(media_path FROM 'requests/([0-9a-f-]{36})/')
          FROM public.media_analysis_requests WHERE media_path LIKE '%requests/%'));

-- name: let_in
-- What waits beside the line of its group although there is room, since a worker died.
SELECT mediaq.let_in_all();

-- name: unreferenced
SELECT f.folder FROM unnest($1::uuid[], $2::text[]) AS f (request_id, folder)
 WHERE NOT EXISTS (
    SELECT FROM public.media_files AS m
     WHERE m.request_id = f.request_id AND starts_with(m.file_path, f.folder || '/'));

-- name: claim_many
-- Rows that someone else holds are left for the claim of one, which tells them from those not due.
WITH free AS (
    SELECT request_id FROM public.media_analysis_requests
     WHERE request_id = ANY ($1) AND status = 'pending' AND (run_after IS NULL OR run_after <= now())
       FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE public.media_analysis_requests AS r
       SET status = 'processing'
      FROM free WHERE r.request_id = free.request_id
    RETURNING r.request_id, attempt, failed_attempts, media_type, media_url, media_path, prompt, options
), noted AS (
    INSERT INTO mediaq.attempts (request_id, attempt, worker_id, worker)
    SELECT request_id, attempt, $2, $3 FROM claimed
)
SELECT * FROM claimed;

-- name: done_steps
SELECT step FROM mediaq.steps WHERE request_id = $1;

-- name: done_results
SELECT result_type, content_json, coalesce(content, '') AS content
  FROM public.media_analysis_results
 WHERE request_id = $1 AND provider = 'internal' AND content_json IS NOT NULL;

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
INSERT INTO mediaq.steps (request_id, step, attempt, duration_ms, skipped, why) VALUES ($1, $2, $3, $4, $5, $6);

-- name: set_media_type
UPDATE public.media_analysis_requests SET media_type = $3
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing' AND media_type = 'auto';

-- name: insert_progress
-- Of many attempts at once, and waited for on disk like every event: what a crash of the server took
-- back would leave readers behind a place in the feed that is given out again. A row that someone
-- else holds is left out, its progress with it.
INSERT INTO mediaq.events (request_id, event, status, media_type, attempt, data)
SELECT r.request_id, 'progress', r.status, r.media_type, r.attempt, told.data
  FROM unnest($1::uuid[], $2::integer[], $3::jsonb[])
       WITH ORDINALITY AS told (request_id, attempt, data, place)
  JOIN public.media_analysis_requests AS r
    ON r.request_id = told.request_id AND r.attempt = told.attempt AND r.status = 'processing'
 ORDER BY told.place
   FOR NO KEY UPDATE OF r SKIP LOCKED;

-- name: complete
UPDATE public.media_analysis_requests
   SET status = 'completed', error_message = NULL, error_details = '{}'
 WHERE request_id = $1 AND attempt = $2 AND status = 'processing'
RETURNING TRUE;

-- name: complete_many
-- Rows that someone else holds are left for the statement above: a statement that waits for one row
-- while it holds another could deadlock with a client's bulk update.
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

-- name: cancel_one
UPDATE public.media_analysis_requests SET status = 'cancelled' WHERE request_id = $1 RETURNING TRUE;

-- name: cancel_many
UPDATE public.media_analysis_requests SET status = 'cancelled'
 WHERE status IN ('pending', 'processing')
   AND ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR media_type = $2)
   AND ($3::text IS NULL OR created_by = $3)
   AND ($4::text IS NULL OR created_at < now() - $4::text::interval);

-- name: retry_one
-- A running request could go back to pending too, as its worker gives it back; nobody else should.
UPDATE public.media_analysis_requests SET status = 'pending'
 WHERE request_id = $1 AND status <> 'processing'
RETURNING TRUE;

-- name: retry_many
UPDATE public.media_analysis_requests SET status = 'pending'
 WHERE status IN ('failed', 'cancelled')
   AND ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR media_type = $2)
   AND ($3::text IS NULL OR created_by = $3)
   AND ($4::text IS NULL OR created_at < now() - $4::text::interval);

-- name: delete_one
DELETE FROM public.media_analysis_requests WHERE request_id = $1 RETURNING TRUE;

-- name: delete_many
DELETE FROM public.media_analysis_requests
 WHERE TRUE
   AND ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR media_type = $2)
   AND ($3::text IS NULL OR created_by = $3)
   AND ($4::text IS NULL OR created_at < now() - $4::text::interval);

-- name: gone_requests
SELECT id FROM unnest($1::uuid[]) AS id
 WHERE NOT EXISTS (SELECT FROM public.media_analysis_requests AS r WHERE r.request_id = id);

-- name: due_delivery
-- Nothing comes back when the request or its callback_url is gone, or the attempt was made already.
SELECT e.event_id, e.request_id, e.event, e.attempt, e.media_type, e.at, e.error, r.callback_url,
       r.media_url, r.media_path, r.user_metadata, r.created_by, r.created_at,
       CASE WHEN (r.attempt, r.status) = (e.attempt, e.status) THEN r.processing_time_ms
       END AS processing_time_ms
  FROM mediaq.events AS e JOIN public.media_analysis_requests AS r USING (request_id)
 WHERE e.event_id = $1 AND r.callback_url IS NOT NULL
   AND NOT EXISTS (
        SELECT FROM mediaq.deliveries AS d
         WHERE d.request_id = e.request_id AND d.event_id = e.event_id AND d.attempt >= $2);

-- name: record_delivery
-- Together with the job for the next attempt, if there is to be one.
WITH recorded AS (
    INSERT INTO mediaq.deliveries (
        request_id, event_id, attempt, event, webhook_id, url, started_at, duration_ms, outcome,
        status_code, error, response, next_at)
    SELECT request_id, $2, $3, $4, $5, $6, clock_timestamp() - make_interval(secs => $7 / 1000.0),
           $7, $8, $9, $10, $11, clock_timestamp() + make_interval(secs => $12)
      FROM public.media_analysis_requests WHERE request_id = $1
       FOR KEY SHARE
    ON CONFLICT DO NOTHING
    RETURNING event_id, attempt, next_at)
SELECT mediaq.queue_deliveries(ARRAY[event_id], attempt + 1, next_at)
  FROM recorded WHERE next_at IS NOT NULL;

-- name: detail
-- What clients read is written by the database and handed through as text: it takes what no other
-- parser might, such as a number of a thousand digits in user_metadata.
SELECT (to_jsonb(r) - 'idempotency_key' || jsonb_build_object(
    'results', (
        SELECT coalesce(jsonb_agg(
                   to_jsonb(x) - '{request_id,confidence_score}'::text[]
                   || jsonb_build_object('confidence', x.confidence_score)
                   ORDER BY x.created_at, x.result_type), '[]')
          FROM public.media_analysis_results AS x WHERE x.request_id = r.request_id),
    'files', (
        SELECT coalesce(jsonb_agg(
                   to_jsonb(x) - 'request_id' ORDER BY x.file_type, x.sequence_order, x.file_id), '[]')
          FROM public.media_files AS x WHERE x.request_id = r.request_id),
    'contact_sheets', (
        SELECT coalesce(jsonb_agg(
                   to_jsonb(x) - 'request_id' || jsonb_build_object('file_path', f.file_path)
                   ORDER BY x.sheet_number), '[]')
          FROM public.contact_sheets AS x LEFT JOIN public.media_files AS f USING (file_id)
         WHERE x.request_id = r.request_id),
    'steps', (
        SELECT coalesce(jsonb_agg(to_jsonb(x) - 'request_id' ORDER BY x.finished_at), '[]')
          FROM mediaq.steps AS x WHERE x.request_id = r.request_id),
    'attempts', (
        SELECT coalesce(jsonb_agg(
                   to_jsonb(x) - '{request_id,worker_id}'::text[] ORDER BY x.attempt), '[]')
          FROM mediaq.attempts AS x WHERE x.request_id = r.request_id),
    'deliveries', (
        SELECT coalesce(jsonb_agg(
                   to_jsonb(x) - '{request_id,url,response}'::text[]
                   ORDER BY x.event_id, x.attempt), '[]')
          FROM mediaq.deliveries AS x WHERE x.request_id = r.request_id)
    ))::text
  FROM public.media_analysis_requests AS r
 WHERE r.request_id = $1;

-- name: list_requests
SELECT (to_jsonb(r) - 'idempotency_key')::text
  FROM public.media_analysis_requests AS r
 WHERE ($1::text IS NULL OR r.status = $1) AND ($2::text IS NULL OR r.media_type = $2)
 ORDER BY r.created_at DESC, r.request_id
 LIMIT $3 OFFSET $4;

-- name: request_status
SELECT status FROM public.media_analysis_requests WHERE request_id = $1;

-- name: queue_depth
SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
       count(*) FILTER (WHERE status = 'processing') AS processing,
       greatest(0, extract(epoch FROM now() - min(greatest(run_after, created_at))
           FILTER (WHERE status = 'pending' AND greatest(run_after, created_at) <= now())))::float8
           AS oldest_pending_seconds
  FROM public.media_analysis_requests
 WHERE status IN ('pending', 'processing');

-- name: workers_alive
SELECT count(*) FROM mediaq.workers WHERE seen_at > now() - make_interval(secs => $1);

-- name: note_traceback
UPDATE mediaq.attempts SET traceback = $3 WHERE request_id = $1 AND attempt = $2;

-- name: events_of_requests
-- Of each request the first ones behind an event, for all who follow requests at once.
SELECT f.question, e.*
  FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS f (request_id, since, question)
 CROSS JOIN LATERAL (
    SELECT event_id, request_id, event, status, media_type, attempt, at, error, data,
           xid::text AS transaction
      FROM mediaq.events AS e
     WHERE e.request_id = f.request_id AND event_id > f.since
     ORDER BY event_id
     LIMIT $3) AS e
 ORDER BY question, event_id;

-- name: standing
SELECT (SELECT status FROM public.media_analysis_requests WHERE request_id = $1) AS status,
       (SELECT coalesce(max(event_id), 0) FROM mediaq.events WHERE request_id = $1) AS last_event;

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

-- name: remove_requests
SELECT public.cleanup_old_requests($1, $2);

-- name: old_requests
-- What public.cleanup_old_requests would remove.
SELECT count(*) FROM public.media_analysis_requests
 WHERE status IN ('completed', 'failed', 'cancelled')
   AND (created_at <= now() - $1::interval OR created_at IS NULL)
   AND coalesce(completed_at, created_at) <= now() - $1::interval;

-- name: remove_events
-- Ids follow time closely enough; there is no index on time to keep up to date at every event.
WITH kept AS (
    SELECT event_id FROM mediaq.events WHERE at > now() - $1::interval ORDER BY event_id LIMIT 1),
old AS MATERIALIZED (
    SELECT event_id FROM mediaq.events
     WHERE event_id < coalesce((SELECT event_id FROM kept), 9223372036854775807)
     ORDER BY event_id LIMIT $2::bigint),
gone AS (
    DELETE FROM mediaq.events AS e USING old WHERE e.event_id = old.event_id RETURNING 1)
SELECT count(*) FROM gone;

-- name: old_events
SELECT count(*) FROM mediaq.events
 WHERE event_id < coalesce(
    (SELECT event_id FROM mediaq.events WHERE at > now() - $1::interval ORDER BY event_id LIMIT 1),
    9223372036854775807);

-- name: remove_jobs
-- A job's end is told by its last event only; those go with it.
WITH old AS MATERIALIZED (
    SELECT id FROM mediaq.procrastinate_jobs AS j
     WHERE status IN ('succeeded', 'failed', 'cancelled', 'aborted')
       AND NOT EXISTS (
           SELECT FROM mediaq.procrastinate_events
            WHERE job_id = j.id AND at > now() - $1::interval)
     LIMIT $2::bigint),
gone AS (
    DELETE FROM mediaq.procrastinate_jobs AS j USING old WHERE j.id = old.id RETURNING 1)
SELECT count(*) FROM gone;

-- name: old_jobs
SELECT count(*) FROM mediaq.procrastinate_jobs AS j
 WHERE status IN ('succeeded', 'failed', 'cancelled', 'aborted')
   AND NOT EXISTS (
       SELECT FROM mediaq.procrastinate_events WHERE job_id = j.id AND at > now() - $1::interval);

-- name: remove_workers
-- A worker has a row of ours and one of Procrastinate's. One of those that still holds a job is
-- evidence for whoever recovers that job; and in less than an hour ours may be missed by a living one.
WITH old AS MATERIALIZED (
    SELECT id FROM mediaq.procrastinate_workers AS w
     WHERE last_heartbeat <= now() - $1::interval
       AND NOT EXISTS (SELECT FROM mediaq.procrastinate_jobs WHERE worker_id = w.id AND status = 'doing')
     LIMIT $2::bigint),
gone AS (
    DELETE FROM mediaq.procrastinate_workers AS w USING old WHERE w.id = old.id RETURNING 1),
unseen AS MATERIALIZED (
    SELECT worker_id FROM mediaq.workers
     WHERE seen_at <= now() - greatest($1::interval, '1 hour') LIMIT $2::bigint),
forgotten AS (
    DELETE FROM mediaq.workers AS w USING unseen WHERE w.worker_id = unseen.worker_id RETURNING 1)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM forgotten);

-- name: old_workers
SELECT (SELECT count(*) FROM mediaq.procrastinate_workers AS w
         WHERE last_heartbeat <= now() - $1::interval
           AND NOT EXISTS (
               SELECT FROM mediaq.procrastinate_jobs WHERE worker_id = w.id AND status = 'doing'))
     + (SELECT count(*) FROM mediaq.workers
         WHERE seen_at <= now() - greatest($1::interval, '1 hour'));

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

-- name: next_claim_in
SELECT mediaq.next_claim_in($1);

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
