-- The queues as rows that any SQL client with the right may change, and a claim that takes many jobs at
-- once, whose cost depends on what is claimed alone: not on what waits elsewhere or is for later.

-- A queue without a row here is open and has no limit. A change is in force for the next claim.
--   UPDATE mediaq.queues SET paused = true WHERE queue = 'video';
--   INSERT INTO mediaq.queues (queue, max_running) VALUES ('audio', 2);
CREATE TABLE mediaq.queues (
    queue TEXT PRIMARY KEY CHECK (queue <> ''),
    -- Nothing more is claimed; what runs goes on.
    paused BOOLEAN NOT NULL DEFAULT FALSE,
    -- Jobs that all workers together run at once; NULL is no limit.
    max_running INTEGER CHECK (max_running >= 0)
);

-- The order in which a queue is served. It is written -priority, here and in the claim, so that no
-- other index has that order: the planner is left no way to read a million rows and sort them.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_next_idx ON mediaq.procrastinate_jobs (queue_name, (-(priority::bigint)), id)
    WHERE status = 'todo' AND scheduled_at IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_due_idx ON mediaq.procrastinate_jobs (scheduled_at)
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_running_idx ON mediaq.procrastinate_jobs (queue_name) WHERE status = 'doing';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_lock_idx ON mediaq.procrastinate_jobs (lock) WHERE lock IS NOT NULL;

-- Rows come and go all the time, so what is dead is a share of few live ones.
ALTER TABLE mediaq.procrastinate_jobs SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

-- Wake the workers of a queue, as Procrastinate's own trigger does for a new job.
CREATE FUNCTION mediaq.ring_queue(queue TEXT) RETURNS VOID
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_notify(channel, '{"type": "job_inserted", "job_id": 0}')
      FROM unnest(ARRAY['procrastinate_queue_v1#' || queue, 'procrastinate_any_queue_v1']) AS channel;
$$;

CREATE FUNCTION mediaq.queue_changed() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = mediaq, pg_temp
AS $$
BEGIN
    PERFORM ring_queue(coalesce(NEW.queue, OLD.queue));
    RETURN NULL;
END;
$$;

CREATE TRIGGER mediaq_queue_changed AFTER INSERT OR UPDATE OR DELETE ON mediaq.queues
    FOR EACH ROW EXECUTE FUNCTION mediaq.queue_changed();

-- Claim up to `slots` jobs of the wanted queues (NULL: of all) for a worker, highest priority first.
--
-- As procrastinate_fetch_job_v2 does for one job, with three differences: it goes through each queue in
-- its own order, so that what waits in another costs nothing; jobs for later stand in an index of their
-- own; and it heeds mediaq.queues. It locks no row that it does not claim, since whoever skips such a row
-- would find nothing and sleep.
--
-- The table goes from empty to millions of rows within seconds, long before statistics follow: the plan
-- must not depend on them, so what would be wrong on a large table is forbidden. For the same reason rows
-- are looked up as id = ANY, never joined, and a status is compared as text where an index of all jobs in
-- that status must not be taken: on the empty table, where plans are made, it looks as cheap as the key.
CREATE FUNCTION mediaq.claim_jobs(wanted TEXT[], worker BIGINT, slots INTEGER)
RETURNS SETOF mediaq.procrastinate_jobs
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    names TEXT[] := wanted;
    span INTEGER := slots;
    next_ids BIGINT[];
    taken INTEGER;
BEGIN
    -- Not waited for on disk: a server that crashes may forget this, and the job runs again, which finds
    -- the request claimed or ended. Whatever the job itself commits makes this durable as well.
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    -- What has become due joins the others and is then claimed by priority. Further ones, by the next claim.
    -- Asked for by order, not by EXISTS, which took whichever index looked cheap and read all of it.
    IF (SELECT scheduled_at FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at IS NOT NULL
         ORDER BY scheduled_at LIMIT 1) <= now() THEN
        UPDATE procrastinate_jobs SET scheduled_at = NULL
         WHERE id = ANY (ARRAY(
             SELECT id FROM procrastinate_jobs
              WHERE status = 'todo' AND scheduled_at <= now()
              ORDER BY scheduled_at LIMIT greatest(slots, 100)
                FOR UPDATE SKIP LOCKED));
    END IF;

    IF names IS NULL THEN
        -- One look into the index per queue that has something, however much that is.
        names := ARRAY(
            WITH RECURSIVE waiting (name) AS (
                (SELECT queue_name::text FROM procrastinate_jobs
                  WHERE status = 'todo' AND scheduled_at IS NULL ORDER BY queue_name LIMIT 1)
                UNION ALL
                SELECT (SELECT j.queue_name::text FROM procrastinate_jobs AS j
                         WHERE j.status = 'todo' AND j.scheduled_at IS NULL AND j.queue_name > w.name
                         ORDER BY j.queue_name LIMIT 1)
                  FROM waiting AS w WHERE w.name IS NOT NULL)
            SELECT name FROM waiting WHERE name IS NOT NULL);
    END IF;

    IF EXISTS (SELECT FROM queues) THEN
        names := ARRAY(
            SELECT name FROM unnest(names) AS name
             WHERE NOT EXISTS (SELECT FROM queues AS q WHERE q.queue = name AND q.paused));
        -- Who counts what runs in a limited queue must be alone with it until the claim is committed. Not
        -- by a lock of the row: an operator's open transaction on it would stop all workers.
        PERFORM pg_advisory_xact_lock(1835360625, number)
           FROM (SELECT hashtext(q.queue) AS number FROM queues AS q
                  WHERE q.max_running IS NOT NULL AND q.queue = ANY (names)
                  ORDER BY hashtext(q.queue)) AS limited;
    END IF;

    -- Others may hold the first jobs in line at this moment, then look further down the line.
    WHILE slots > 0 LOOP
        next_ids := ARRAY(
            SELECT job.id
              FROM unnest(names) AS open (name)
              LEFT JOIN queues AS q ON q.queue = open.name
             CROSS JOIN LATERAL (
                SELECT CASE WHEN q.max_running IS NULL THEN span ELSE least(span, greatest(0, q.max_running - (
                    SELECT count(*) FROM procrastinate_jobs AS r
                     WHERE r.queue_name = open.name AND r.status = 'doing'))) END AS free) AS quota
             CROSS JOIN LATERAL (
                SELECT j.id, -(j.priority::bigint) AS rank FROM procrastinate_jobs AS j
                 WHERE j.queue_name = open.name AND j.status = 'todo' AND j.scheduled_at IS NULL
                   -- Procrastinate's locks: one job of a lock at a time, in order.
                   AND (j.lock IS NULL OR NOT EXISTS (
                        SELECT FROM procrastinate_jobs AS o
                         WHERE o.lock = j.lock AND o.status::text IN ('todo', 'doing') AND (o.status = 'doing'
                            OR o.priority > j.priority OR (o.priority = j.priority AND o.id < j.id))))
                 ORDER BY -(j.priority::bigint), j.id
                 LIMIT quota.free) AS job
             ORDER BY job.rank, job.id
             LIMIT span);
        RETURN QUERY
            UPDATE procrastinate_jobs AS j
               SET status = 'doing', worker_id = worker
             WHERE j.id = ANY (ARRAY(
                SELECT id FROM procrastinate_jobs
                 WHERE id = ANY (next_ids) AND status::text = 'todo'
                 ORDER BY -(priority::bigint), id
                 LIMIT slots
                   FOR UPDATE SKIP LOCKED))
            RETURNING j.*;
        GET DIAGNOSTICS taken = ROW_COUNT;
        slots := slots - taken;
        EXIT WHEN cardinality(next_ids) < span;
        span := span * 4;
    END LOOP;
END;
$$;

-- End many jobs at once: `gone` are deleted, `kept` get the status beside them. Only this worker's: the late
-- finish of a job that was given to another one changes nothing.
CREATE FUNCTION mediaq.finish_jobs(worker BIGINT, gone BIGINT[], kept BIGINT[], statuses TEXT[]) RETURNS VOID
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    ended TEXT[];
BEGIN
    -- As with a claim.
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    WITH deleted AS (
        DELETE FROM procrastinate_jobs
         WHERE id = ANY (gone) AND status::text = 'doing' AND (worker_id = worker OR worker_id IS NULL)
        RETURNING queue_name),
    updated AS (
        UPDATE procrastinate_jobs AS j
           SET status = statuses[array_position(kept, j.id)]::procrastinate_job_status,
               abort_requested = FALSE, attempts = attempts + 1
         WHERE j.id = ANY (kept) AND j.status::text = 'doing' AND (j.worker_id = worker OR j.worker_id IS NULL)
        RETURNING queue_name)
    SELECT array_agg(queue_name) INTO ended
      FROM (SELECT queue_name FROM deleted UNION SELECT queue_name FROM updated) AS names;
    -- Where workers wait for a place, one is free.
    PERFORM ring_queue(q.queue) FROM queues AS q
      WHERE q.max_running IS NOT NULL AND NOT q.paused AND q.queue = ANY (ended)
        -- Not EXISTS, which may become a join that reads all that waits.
        AND (SELECT TRUE FROM procrastinate_jobs AS j
              WHERE j.queue_name = q.queue AND j.status = 'todo' AND j.scheduled_at IS NULL LIMIT 1);
END;
$$;

-- Put back what a worker claimed and did not start: all that runs in its name but is not in `started`.
CREATE FUNCTION mediaq.give_back_jobs(worker BIGINT, started BIGINT[]) RETURNS SETOF BIGINT
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
AS $$
DECLARE
    back RECORD;
BEGIN
    FOR back IN
        UPDATE procrastinate_jobs
           -- A job that is to be aborted must not be queued, says a CHECK of Procrastinate's.
           SET status = CASE WHEN abort_requested THEN 'aborted' ELSE 'todo' END::procrastinate_job_status,
               worker_id = NULL
         WHERE worker_id = worker AND status = 'doing' AND NOT id = ANY (started)
        RETURNING id, queue_name
    LOOP
        PERFORM ring_queue(back.queue_name);
        RETURN NEXT back.id;
    END LOOP;
END;
$$;
