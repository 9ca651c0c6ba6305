-- Who is served next: groups take turns, a group and a queue have limits, and a queue a rate.
--
-- Jobs of one queue and priority are claimed in the order of their turn. A group's next job gets the
-- turn after its last waiting one, a newcomer the turn that is being served: however much one group has
-- waiting, each round serves every group once. Requests without a group_key are one group together.
-- Turns are read from the jobs that wait, nothing is counted or locked: an INSERT waits for nobody, and
-- what several open transactions of one group insert side by side may share a turn.

ALTER TABLE public.media_analysis_requests
    -- Whose turn it is: a customer, a user, a batch. Read when the request is queued.
    ADD COLUMN IF NOT EXISTS group_key TEXT;

ALTER TABLE mediaq.procrastinate_jobs
    ADD COLUMN group_key TEXT NOT NULL DEFAULT '',
    ADD COLUMN turn BIGINT NOT NULL DEFAULT 0,
    -- Jobs of the group that may run at once, as option max_parallel says.
    ADD COLUMN max_parallel INTEGER,
    -- Put aside because its group is full, until one of the group ends: the line goes on without it.
    ADD COLUMN held BOOLEAN NOT NULL DEFAULT FALSE;

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX mediaq.jobs_next_idx;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_next_idx ON mediaq.procrastinate_jobs (queue_name, (-(priority::bigint)), turn, id)
    WHERE status = 'todo' AND scheduled_at IS NULL AND NOT held;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_turn_idx ON mediaq.procrastinate_jobs (queue_name, (-(priority::bigint)), group_key, turn)
    WHERE status = 'todo' AND scheduled_at IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_held_idx ON mediaq.procrastinate_jobs (group_key, (-(priority::bigint)), turn) WHERE held;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_group_ready_idx ON mediaq.procrastinate_jobs (group_key)
    WHERE status = 'todo' AND scheduled_at IS NULL AND NOT held AND max_parallel IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX jobs_group_running_idx ON mediaq.procrastinate_jobs (group_key)
    WHERE status = 'doing' AND group_key <> '';

-- Its own events of every job nobody reads: mediaq.events and mediaq.attempts say more. They were
-- three rows and a cascade per job.
ALTER TABLE mediaq.procrastinate_jobs
    DISABLE TRIGGER procrastinate_trigger_status_events_insert_v1,
    DISABLE TRIGGER procrastinate_trigger_status_events_update_v1,
    DISABLE TRIGGER procrastinate_trigger_scheduled_events_v1,
    DISABLE TRIGGER procrastinate_trigger_abort_requested_events_v1;

ALTER TABLE mediaq.queues
    -- Jobs that all workers together start in any such period; NULL is no limit.
    ADD COLUMN rate_limit INTEGER,
    ADD COLUMN rate_period INTERVAL NOT NULL DEFAULT '1 minute',
    ADD CONSTRAINT queues_rate_limit CHECK (rate_limit >= 0) NOT VALID,
    ADD CONSTRAINT queues_rate_period CHECK (rate_period > '0' AND rate_period <= '1 day') NOT VALID;

-- What was started in queues with a rate limit, as long as it counts.
CREATE TABLE mediaq.starts (
    queue TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX starts_idx ON mediaq.starts (queue, started_at);

CREATE FUNCTION mediaq.check_group() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.group_key := nullif(btrim(NEW.group_key), '');
    IF length(NEW.group_key) > 200 THEN
        RAISE EXCEPTION 'group_key must have at most 200 characters, not %', length(NEW.group_key)
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF NEW.group_key IS NULL AND jsonb_typeof(NEW.options -> 'max_parallel') = 'number' THEN
        RAISE EXCEPTION 'option max_parallel needs a group_key: it limits how many requests of the group run at once'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What was asked under an idempotency key is told from what else was asked under it.
    IF NEW.group_key IS NOT NULL THEN
        NEW.idempotency_fingerprint := encode(sha256(convert_to(
            NEW.idempotency_fingerprint || NEW.group_key, 'UTF8')), 'hex');
    END IF;
    RETURN NEW;
END;
$$;

-- After mediaq_check_request, by its name.
CREATE TRIGGER mediaq_check_request_group BEFORE INSERT ON public.media_analysis_requests
    FOR EACH ROW WHEN (NEW.group_key IS NOT NULL OR NEW.options ? 'max_parallel')
    EXECUTE FUNCTION mediaq.check_group();

-- The turn of a group's next job in a queue, by the two ends of what waits there.
CREATE FUNCTION mediaq.next_turn(queue TEXT, priority INTEGER, group_key TEXT) RETURNS BIGINT
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN greatest(
        0,
        (SELECT j.turn FROM procrastinate_jobs AS j
          WHERE j.queue_name = next_turn.queue AND -(j.priority::bigint) = -(next_turn.priority::bigint)
            AND j.status = 'todo' AND j.scheduled_at IS NULL AND NOT j.held
          ORDER BY j.turn LIMIT 1),
        (SELECT j.turn + 1 FROM procrastinate_jobs AS j
          WHERE j.queue_name = next_turn.queue AND -(j.priority::bigint) = -(next_turn.priority::bigint)
            AND j.group_key = next_turn.group_key AND j.status = 'todo' AND j.scheduled_at IS NULL
          ORDER BY j.turn DESC LIMIT 1));
END;
$$;

-- Our one door to the queue. It writes the rows itself, as procrastinate_defer_jobs_v1 does, for that
-- one knows no turns; Procrastinate's triggers ring for them.
CREATE OR REPLACE FUNCTION mediaq.queue_jobs(ids UUID[]) RETURNS VOID
LANGUAGE plpgsql SET search_path = mediaq, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    INSERT INTO procrastinate_jobs (
        queue_name, task_name, priority, args, scheduled_at, group_key, turn, max_parallel)
    SELECT line.queue, 'mediaq.analyse', line.priority, jsonb_build_object('request_id', line.request_id),
           line.due, line.group_key,
           max(CASE line.place WHEN 1 THEN next_turn(line.queue, line.priority, line.group_key) END)
               OVER (PARTITION BY line.queue, line.priority, line.group_key) + line.place - 1,
           line.max_parallel
      FROM (
        SELECT r.request_id, r.media_type AS queue, r.priority, coalesce(r.group_key, '') AS group_key,
               CASE WHEN r.group_key IS NOT NULL THEN (r.options ->> 'max_parallel')::numeric::integer
                   END AS max_parallel,
               CASE WHEN r.run_after > now() THEN r.run_after END AS due, r.created_at, given.ordinal,
               row_number() OVER (
                   PARTITION BY r.media_type, r.priority, coalesce(r.group_key, '')
                   ORDER BY r.created_at, given.ordinal) AS place
          FROM unnest(ids) WITH ORDINALITY AS given (request_id, ordinal)
          JOIN public.media_analysis_requests AS r USING (request_id)) AS line
     ORDER BY line.created_at, line.ordinal;
END;
$$;

-- Let in what was put aside, where the group has room again. One transaction at a time decides about
-- groups, claims included: who counts what runs must know what the others are about to do.
CREATE FUNCTION mediaq.let_in(groups TEXT[]) RETURNS VOID
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    name TEXT;
    room INTEGER;
    queue TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(1835360626);
    FOREACH name IN ARRAY groups LOOP
        room := (SELECT j.max_parallel FROM procrastinate_jobs AS j
                  WHERE j.held AND j.group_key = name ORDER BY -(j.priority::bigint), j.turn LIMIT 1);
        CONTINUE WHEN room IS NULL;
        room := room - (SELECT count(*) FROM procrastinate_jobs AS j
                         WHERE j.status = 'doing' AND j.group_key <> '' AND j.group_key = name)
                     - (SELECT count(*) FROM procrastinate_jobs AS j
                         WHERE j.status = 'todo' AND j.scheduled_at IS NULL AND NOT j.held
                           AND j.max_parallel IS NOT NULL AND j.group_key = name);
        CONTINUE WHEN room <= 0;
        FOR queue IN
            WITH free AS (
                UPDATE procrastinate_jobs SET held = FALSE
                 WHERE id = ANY (ARRAY(
                    SELECT j.id FROM procrastinate_jobs AS j
                     WHERE j.held AND j.group_key = name
                     ORDER BY -(j.priority::bigint), j.turn
                     LIMIT room
                       FOR UPDATE SKIP LOCKED))
                RETURNING queue_name)
            SELECT DISTINCT queue_name FROM free
        LOOP
            PERFORM ring_queue(queue);
        END LOOP;
    END LOOP;
END;
$$;

-- What the sweep asks for: the end of a job frees its group's place in the same transaction, a worker
-- that dies does not.
CREATE FUNCTION mediaq.let_in_all() RETURNS VOID
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    names TEXT[];
BEGIN
    -- One look into the index per group, however much it has put aside.
    names := ARRAY(
        WITH RECURSIVE waiting (name) AS (
            (SELECT group_key FROM procrastinate_jobs WHERE held ORDER BY group_key LIMIT 1)
            UNION ALL
            SELECT (SELECT j.group_key FROM procrastinate_jobs AS j
                     WHERE j.held AND j.group_key > w.name ORDER BY j.group_key LIMIT 1)
              FROM waiting AS w WHERE w.name IS NOT NULL)
        SELECT name FROM waiting WHERE name IS NOT NULL);
    IF names <> '{}' THEN
        PERFORM let_in(names);
    END IF;
END;
$$;

-- Claim up to `slots` jobs of the wanted queues (NULL: of all) for a worker, highest priority first, then
-- each queue in its turn, and in a queue each group in its turn.
--
-- As procrastinate_fetch_job_v2 does for one job, with these differences: it goes through each queue in
-- its own order, so that what waits in another costs nothing; jobs for later stand in an index of their
-- own; and it heeds mediaq.queues and the limits of groups. It locks no row that it does not claim, since
-- whoever skips such a row would find nothing and sleep.
--
-- The table goes from empty to millions of rows within seconds, long before statistics follow: the plan
-- must not depend on them, so what would be wrong on a large table is forbidden. For the same reason rows
-- are looked up as id = ANY, never joined, and a status is compared as text where an index of all jobs in
-- that status must not be taken: on the empty table, where plans are made, it looks as cheap as the key.
CREATE OR REPLACE FUNCTION mediaq.claim_jobs(wanted TEXT[], worker BIGINT, slots INTEGER)
RETURNS SETOF mediaq.procrastinate_jobs
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    names TEXT[] := wanted;
    span INTEGER := slots;
    rated BOOLEAN := FALSE;
    limited BOOLEAN;
    met INTEGER;
    due_ids BIGINT[];
    next_ids BIGINT[];
    put_aside BIGINT[];
    aside INTEGER := 0;
    taken INTEGER;
BEGIN
    -- Not waited for on disk: a server that crashes may forget this, and the job runs again, which finds
    -- the request claimed or ended. Whatever the job itself commits makes this durable as well.
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    -- What has become due joins the others at the end of its group's line. Further ones, by the next claim.
    -- Asked for by order, not by EXISTS, which took whichever index looked cheap and read all of it.
    IF (SELECT scheduled_at FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at IS NOT NULL
         ORDER BY scheduled_at LIMIT 1) <= now() THEN
        due_ids := ARRAY(
            SELECT id FROM procrastinate_jobs
             WHERE status = 'todo' AND scheduled_at <= now()
             ORDER BY scheduled_at LIMIT greatest(slots, 100)
               FOR UPDATE SKIP LOCKED);
        WITH due AS MATERIALIZED (
            SELECT j.id, next_turn(j.queue_name, j.priority, j.group_key) - 1 + row_number() OVER (
                       PARTITION BY j.queue_name, j.priority, j.group_key ORDER BY j.scheduled_at, j.id) AS turn
              FROM procrastinate_jobs AS j WHERE j.id = ANY (due_ids))
        UPDATE procrastinate_jobs AS j
           SET scheduled_at = NULL, turn = (SELECT due.turn FROM due WHERE due.id = j.id)
         WHERE j.id = ANY (due_ids);
    END IF;

    IF names IS NULL THEN
        -- One look into the index per queue that has something, however much that is.
        names := ARRAY(
            WITH RECURSIVE waiting (name) AS (
                (SELECT queue_name::text FROM procrastinate_jobs
                  WHERE status = 'todo' AND scheduled_at IS NULL AND NOT held ORDER BY queue_name LIMIT 1)
                UNION ALL
                SELECT (SELECT j.queue_name::text FROM procrastinate_jobs AS j
                         WHERE j.status = 'todo' AND j.scheduled_at IS NULL AND NOT j.held AND j.queue_name > w.name
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
                  WHERE (q.max_running IS NOT NULL OR q.rate_limit IS NOT NULL) AND q.queue = ANY (names)
                  ORDER BY hashtext(q.queue)) AS limits;
        rated := EXISTS (SELECT FROM queues AS q WHERE q.rate_limit IS NOT NULL AND q.queue = ANY (names));
        IF rated THEN
            DELETE FROM starts AS s USING queues AS q
             WHERE q.queue = ANY (names) AND s.queue = q.queue
               AND s.started_at <= clock_timestamp() - q.rate_period;
        END IF;
    END IF;

    -- Others may hold the first jobs in line at this moment, then look further down the line.
    WHILE slots > 0 LOOP
        SELECT array_agg(line.id ORDER BY line.number), count(*), coalesce(bool_or(line.max_parallel IS NOT NULL), FALSE)
          INTO next_ids, met, limited
          FROM (
            SELECT job.id, job.max_parallel, row_number() OVER (ORDER BY job.rank, job.place, random()) AS number
              FROM unnest(names) AS open (name)
              LEFT JOIN queues AS q ON q.queue = open.name
             CROSS JOIN LATERAL (
                SELECT least(
                    span,
                    CASE WHEN q.max_running IS NOT NULL THEN greatest(0, q.max_running - (
                        SELECT count(*) FROM procrastinate_jobs AS r
                         WHERE r.queue_name = open.name AND r.status = 'doing')) END,
                    CASE WHEN q.rate_limit IS NOT NULL THEN greatest(0, q.rate_limit - (
                        SELECT count(*) FROM starts AS s WHERE s.queue = open.name)) END) AS free) AS quota
             CROSS JOIN LATERAL (
                SELECT first.id, first.max_parallel, first.rank, row_number() OVER () AS place
                  FROM (
                    SELECT j.id, j.max_parallel, -(j.priority::bigint) AS rank
                      FROM procrastinate_jobs AS j
                     WHERE j.queue_name = open.name AND j.status = 'todo' AND j.scheduled_at IS NULL AND NOT j.held
                       -- Procrastinate's locks: one job of a lock at a time, in order.
                       AND (j.lock IS NULL OR NOT EXISTS (
                            SELECT FROM procrastinate_jobs AS o
                             WHERE o.lock = j.lock AND o.status::text IN ('todo', 'doing') AND (o.status = 'doing'
                                OR o.priority > j.priority OR (o.priority = j.priority AND o.id < j.id))))
                     ORDER BY -(j.priority::bigint), j.turn, j.id
                     LIMIT quota.free) AS first) AS job
             ORDER BY number
             LIMIT span) AS line;
        EXIT WHEN next_ids IS NULL;

        IF limited THEN
            -- As with a limited queue, see let_in; and those that are too many wait beside the line.
            PERFORM pg_advisory_xact_lock(1835360626);
            put_aside := ARRAY(
                SELECT candidate.id
                  FROM (
                    SELECT j.id, j.max_parallel, j.group_key,
                           row_number() OVER (PARTITION BY j.group_key ORDER BY array_position(next_ids, j.id)) AS place
                      FROM procrastinate_jobs AS j
                     WHERE j.id = ANY (next_ids) AND j.group_key <> '' AND j.status::text = 'todo') AS candidate
                 WHERE candidate.max_parallel < candidate.place + (
                    SELECT count(*) FROM procrastinate_jobs AS r
                     WHERE r.status = 'doing' AND r.group_key <> '' AND r.group_key = candidate.group_key));
            UPDATE procrastinate_jobs SET held = TRUE
             WHERE id = ANY (ARRAY(
                SELECT id FROM procrastinate_jobs
                 WHERE id = ANY (put_aside) AND status::text = 'todo' FOR UPDATE SKIP LOCKED));
            GET DIAGNOSTICS aside = ROW_COUNT;
            next_ids := ARRAY(SELECT id FROM unnest(next_ids) AS id WHERE id <> ALL (put_aside));
        END IF;

        IF rated THEN
            RETURN QUERY
                WITH claimed AS (
                    UPDATE procrastinate_jobs AS j
                       SET status = 'doing', worker_id = worker
                     WHERE j.id = ANY (ARRAY(
                        SELECT id FROM procrastinate_jobs
                         WHERE id = ANY (next_ids) AND status::text = 'todo'
                         ORDER BY array_position(next_ids, id)
                         LIMIT slots
                           FOR UPDATE SKIP LOCKED))
                    RETURNING j.*
                ), noted AS (
                    INSERT INTO starts (queue)
                    SELECT c.queue_name FROM claimed AS c JOIN queues AS q ON q.queue = c.queue_name
                     WHERE q.rate_limit IS NOT NULL)
                SELECT * FROM claimed;
        ELSE
            RETURN QUERY
                UPDATE procrastinate_jobs AS j
                   SET status = 'doing', worker_id = worker
                 WHERE j.id = ANY (ARRAY(
                    SELECT id FROM procrastinate_jobs
                     WHERE id = ANY (next_ids) AND status::text = 'todo'
                     ORDER BY array_position(next_ids, id)
                     LIMIT slots
                       FOR UPDATE SKIP LOCKED))
                RETURNING j.*;
        END IF;
        GET DIAGNOSTICS taken = ROW_COUNT;
        slots := slots - taken;
        EXIT WHEN met < span;
        -- What was put aside is out of the way, what others hold is not.
        IF aside = 0 THEN
            span := span * 4;
        END IF;
    END LOOP;
END;
$$;

-- Seconds until a claim might find what it did not find now: a job that becomes due, or room in a rate.
-- NULL when no clock will bring it; a bell will.
CREATE FUNCTION mediaq.next_claim_in(wanted TEXT[]) RETURNS DOUBLE PRECISION
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    moment TIMESTAMPTZ;
BEGIN
    -- Of any queue: to look for nothing now and then costs less than an index by queue at every job.
    moment := (SELECT scheduled_at FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at IS NOT NULL
            ORDER BY scheduled_at LIMIT 1);
    IF EXISTS (SELECT FROM queues) THEN
        moment := least(moment, (
            SELECT min(s.started_at + q.rate_period)
              FROM queues AS q
             CROSS JOIN LATERAL (
                -- When this one counts no more, there is room for one.
                SELECT started_at FROM starts
                 WHERE queue = q.queue ORDER BY started_at DESC OFFSET q.rate_limit - 1 LIMIT 1) AS s
             WHERE q.rate_limit > 0 AND NOT q.paused AND (wanted IS NULL OR q.queue = ANY (wanted))
               AND (SELECT TRUE FROM procrastinate_jobs AS j
                     WHERE j.queue_name = q.queue AND j.status = 'todo' AND j.scheduled_at IS NULL
                       AND NOT j.held LIMIT 1)));
    END IF;
    RETURN CASE WHEN moment IS NOT NULL THEN greatest(0, extract(epoch FROM moment - clock_timestamp())) END;
END;
$$;

-- End many jobs at once: `gone` are deleted, `kept` get the status beside them. Only this worker's: the late
-- finish of a job that was given to another one changes nothing.
CREATE OR REPLACE FUNCTION mediaq.finish_jobs(worker BIGINT, gone BIGINT[], kept BIGINT[], statuses TEXT[]) RETURNS VOID
LANGUAGE plpgsql
SET search_path = mediaq, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    ended TEXT[];
    groups TEXT[];
    limited BOOLEAN;
BEGIN
    -- As with a claim.
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    WITH deleted AS (
        DELETE FROM procrastinate_jobs
         WHERE id = ANY (gone) AND status::text = 'doing' AND (worker_id = worker OR worker_id IS NULL)
        RETURNING queue_name, group_key, max_parallel),
    updated AS (
        UPDATE procrastinate_jobs AS j
           SET status = statuses[array_position(kept, j.id)]::procrastinate_job_status,
               abort_requested = FALSE, attempts = attempts + 1
         WHERE j.id = ANY (kept) AND j.status::text = 'doing' AND (j.worker_id = worker OR j.worker_id IS NULL)
        RETURNING queue_name, group_key, max_parallel)
    SELECT array_agg(DISTINCT queue_name), array_agg(DISTINCT group_key) FILTER (WHERE group_key <> ''),
           bool_or(max_parallel IS NOT NULL)
      INTO ended, groups, limited
      FROM (SELECT * FROM deleted UNION ALL SELECT * FROM updated) AS both_ways;
    -- Where workers wait for a place, one is free.
    PERFORM ring_queue(q.queue) FROM queues AS q
      WHERE q.max_running IS NOT NULL AND NOT q.paused AND q.queue = ANY (ended)
        -- Not EXISTS, which may become a join that reads all that waits.
        AND (SELECT TRUE FROM procrastinate_jobs AS j
              WHERE j.queue_name = q.queue AND j.status = 'todo' AND j.scheduled_at IS NULL AND NOT j.held LIMIT 1);
    IF limited OR (SELECT TRUE FROM procrastinate_jobs WHERE held AND group_key = ANY (groups) LIMIT 1) THEN
        PERFORM let_in(groups);
    END IF;
END;
$$;

CREATE OR REPLACE FUNCTION mediaq.give_back_jobs(worker BIGINT, started BIGINT[]) RETURNS SETOF BIGINT
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
    -- Their places are free; where nobody else takes them, those who wait beside the line may.
    PERFORM let_in_all();
END;
$$;
