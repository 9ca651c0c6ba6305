-- What the benchmarks run besides mediaq's own queries.

-- name: create_scratch
CREATE DATABASE mediaq_bench;

-- name: drop_scratch
DROP DATABASE IF EXISTS mediaq_bench WITH (FORCE);

-- name: defer_noops
-- The same for stock Procrastinate and for ours: its own function.
SELECT count(procrastinate_defer_jobs_v1(ARRAY[
    ROW($1, 'bench.noop', 0, NULL, NULL, '{}', NULL)::procrastinate_job_to_defer_v1]))
  FROM generate_series(1, $2);

-- name: insert_requests
INSERT INTO public.media_analysis_requests (media_type, media_path)
SELECT 'video', $1 FROM generate_series(1, $2);

-- name: request_ids
SELECT request_id FROM public.media_analysis_requests;

-- name: start_request
UPDATE public.media_analysis_requests SET status = 'processing' WHERE request_id = $1;

-- name: completed
SELECT count(*) FROM public.media_analysis_requests WHERE status = 'completed';

-- name: clear
TRUNCATE public.media_analysis_requests, mediaq.events, mediaq.procrastinate_jobs CASCADE;

-- name: clear_stock
TRUNCATE stock.procrastinate_jobs CASCADE;

-- name: fill_pending
INSERT INTO mediaq.procrastinate_jobs (queue_name, task_name) SELECT 'video', 'bench.noop' FROM generate_series(1, $1);

-- name: fill_finished
INSERT INTO mediaq.procrastinate_jobs (queue_name, task_name, status) SELECT 'video', 'bench.noop', 'succeeded' FROM generate_series(1, $1);

-- name: fill_scheduled
INSERT INTO mediaq.procrastinate_jobs (queue_name, task_name, scheduled_at)
SELECT 'video', 'bench.noop', now() + interval '1 day' FROM generate_series(1, $1);

-- name: fill_other
INSERT INTO mediaq.procrastinate_jobs (queue_name, task_name) SELECT 'other', 'bench.noop' FROM generate_series(1, $1);

-- name: triggers_off
ALTER TABLE mediaq.procrastinate_jobs DISABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;

-- name: triggers_on
ALTER TABLE mediaq.procrastinate_jobs ENABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;

-- name: analyze
ANALYZE mediaq.procrastinate_jobs;

-- name: register
INSERT INTO mediaq.procrastinate_workers DEFAULT VALUES RETURNING id;

-- name: stock_schema
CREATE SCHEMA stock;
SET search_path = stock;

-- name: bare_tables
SET search_path = public;
CREATE TABLE bare_requests (LIKE public.media_analysis_requests INCLUDING ALL);
CREATE TABLE bare_jobs (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status TEXT NOT NULL DEFAULT 'todo');

-- name: insert_bare
INSERT INTO bare_requests (media_type, media_path) SELECT 'video', $1 FROM generate_series(1, $2);

-- name: insert_bare_job
WITH added AS (INSERT INTO bare_jobs DEFAULT VALUES) SELECT pg_notify('bare', '');

-- name: claim_bare_job
UPDATE bare_jobs SET status = 'doing'
 WHERE id = (SELECT id FROM bare_jobs WHERE status = 'todo' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id;
