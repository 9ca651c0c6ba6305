-- The flow, on one screen: every trigger stands in this file.
--
--   INSERT request  ─▶ check_request     explicit NULLs become defaults, nonsense is refused
--                   ─▶ request_inserted  one job per row, in the inserter's transaction, and an event
--   UPDATE request  ─▶ check_change      only legal changes of status; times and attempt kept here
--                   ─▶ check_verdict     claims and verdicts are for roles that may write their words
--                   ─▶ request_changed   an event per change of status, the end of an attempt noted;
--                                        pending again queues again; an end with a callback_url
--                                        queues its delivery
--   DELETE request  ─▶ request_deleted   an event; a job that removes the stored bytes
--   INSERT step     ─▶ step_finished     an event
--   INSERT event    ─▶ ring              NOTIFY mediaq_events (ended) or mediaq_progress (the rest)
--
-- Functions that touch schema mediaq run as its owner, so that a client needs no right but INSERT.
-- public never stands on their search path: whoever may create there could shadow a name.

-- The sentence that says what is wrong with a request's options, or NULL.
-- mediaq.model.Options states the same rules for clients of the HTTP API.
CREATE FUNCTION mediaq.options_problem(options JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known CONSTANT TEXT[] := ARRAY[
        'exact', 'format', 'frames', 'grid', 'interval_seconds', 'thumb_width', 'timeout_seconds',
        'timestamps'];
    name TEXT;
    value JSONB;
    given TEXT;
    number NUMERIC;
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        RETURN format('options must be a JSON object such as {"grid": "4x6"}, not %s', jsonb_typeof(options));
    END IF;
    FOR name, value IN SELECT * FROM jsonb_each(options) LOOP
        given := left(value::text, 60);
        number := CASE WHEN jsonb_typeof(value) = 'number' THEN value::text::numeric END;
        CASE name
        WHEN 'grid' THEN
            IF jsonb_typeof(value) <> 'string' OR value #>> '{}' !~ '^([1-9]|1[0-9]|20)x([1-9]|1[0-9]|20)$' THEN
                RETURN format('option grid must be columns x rows from "1x1" to "20x20", such as "2x3", not %s', given);
            END IF;
        WHEN 'frames' THEN
            IF jsonb_typeof(value) <> 'null' AND (number IS NULL OR number <> trunc(number) OR number NOT BETWEEN 1 AND 1000) THEN
                RETURN format('option frames must be a whole number from 1 to 1000, not %s', given);
            END IF;
        WHEN 'interval_seconds' THEN
            IF jsonb_typeof(value) <> 'null' AND (number IS NULL OR number NOT BETWEEN 0.001 AND 86400) THEN
                RETURN format('option interval_seconds must be a number from 0.001 to 86400, not %s', given);
            END IF;
        WHEN 'thumb_width' THEN
            IF number IS NULL OR number <> trunc(number) OR number NOT BETWEEN 32 AND 1920 THEN
                RETURN format('option thumb_width must be a whole number of pixels from 32 to 1920, not %s', given);
            END IF;
        WHEN 'timeout_seconds' THEN
            IF jsonb_typeof(value) <> 'null' AND (number IS NULL OR number NOT BETWEEN 1 AND 86400) THEN
                RETURN format('option timeout_seconds must be a number from 1 to 86400, not %s', given);
            END IF;
        WHEN 'format' THEN
            IF value NOT IN ('"jpeg"', '"webp"', '"png"') THEN
                RETURN format('option format must be "jpeg", "webp" or "png", not %s', given);
            END IF;
        WHEN 'timestamps', 'exact' THEN
            IF jsonb_typeof(value) <> 'boolean' THEN
                RETURN format('option %s must be true or false, not %s', name, given);
            END IF;
        ELSE
            RETURN format('unknown option "%s"; the options are %s', left(name, 60), array_to_string(known, ', '));
        END CASE;
    END LOOP;
    IF jsonb_typeof(options -> 'frames') = 'number' AND jsonb_typeof(options -> 'interval_seconds') = 'number' THEN
        RETURN 'give option frames or interval_seconds, not both';
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION mediaq.check_request() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem TEXT;
BEGIN
    -- Clients such as n8n send NULL for every column that they name without a value.
    NEW.request_id := coalesce(NEW.request_id, gen_random_uuid());
    NEW.media_type := coalesce(nullif(lower(btrim(NEW.media_type)), ''), 'auto');
    NEW.status := coalesce(nullif(NEW.status, ''), 'pending');
    NEW.media_url := nullif(btrim(NEW.media_url), '');
    NEW.media_path := nullif(NEW.media_path, '');
    NEW.created_at := coalesce(NEW.created_at, now());
    NEW.error_details := coalesce(NEW.error_details, '{}');
    NEW.user_metadata := coalesce(NEW.user_metadata, '{}');
    NEW.provider_chain := coalesce(NEW.provider_chain, '[]');
    NEW.api_costs := coalesce(NEW.api_costs, '{}');
    NEW.priority := coalesce(NEW.priority, 0);
    NEW.options := coalesce(nullif(NEW.options, 'null'), '{}');
    NEW.callback_url := nullif(btrim(NEW.callback_url), '');
    NEW.idempotency_key := nullif(NEW.idempotency_key, '');
    -- As it was asked: the row itself changes while it is worked on.
    NEW.idempotency_fingerprint := CASE WHEN NEW.idempotency_key IS NOT NULL THEN
        encode(sha256(convert_to(jsonb_build_array(
            NEW.media_type, NEW.media_url, NEW.media_path, NEW.prompt, NEW.options, NEW.user_metadata,
            NEW.priority, extract(epoch FROM NEW.run_after), NEW.callback_url)::text, 'UTF8')), 'hex')
        END;
    -- What only the database counts.
    NEW.attempt := 0;
    NEW.failed_attempts := 0;
    NEW.lost_attempts := 0;
    NEW.started_at := NULL;
    NEW.completed_at := NULL;
    NEW.processing_time_ms := NULL;

    problem := CASE
        WHEN NEW.media_url IS NULL AND NEW.media_path IS NULL
            THEN 'a request needs media_url (http or https) or media_path (a file under the media roots)'
        WHEN NEW.media_url !~* '^https?://[^/[:space:]]'
            THEN format('media_url must start with http:// or https://, not "%s"', left(NEW.media_url, 60))
        WHEN NEW.callback_url !~* '^https?://[^/[:space:]]'
            THEN format('callback_url must start with http:// or https://, not "%s"', left(NEW.callback_url, 60))
        WHEN NEW.media_type NOT IN ('video', 'audio', 'document', 'auto')
            THEN format('media_type must be video, audio, document or auto, not "%s"', NEW.media_type)
        WHEN NEW.status <> 'pending'
            THEN format('a new request starts as pending, not "%s"', NEW.status)
        WHEN NEW.created_at NOT BETWEEN '1900-01-01' AND '9000-01-01'
            THEN format('created_at must be a time from 1900 to 9000, not %s', NEW.created_at)
        WHEN NEW.run_after NOT BETWEEN '1900-01-01' AND '9000-01-01'
            THEN format('run_after must be a time from 1900 to 9000, not %s', NEW.run_after)
        WHEN length(NEW.prompt) > 100000
            THEN format('prompt must have at most 100000 characters, not %s', length(NEW.prompt))
        WHEN greatest(length(NEW.media_url), length(NEW.media_path), length(NEW.callback_url)) > 8192
            THEN 'media_url, media_path and callback_url must have at most 8192 characters'
        WHEN greatest(pg_column_size(NEW.user_metadata), pg_column_size(NEW.error_details),
                      pg_column_size(NEW.provider_chain), pg_column_size(NEW.api_costs)) > 1048576
            THEN 'user_metadata must take at most 1 MiB'
        WHEN NEW.priority NOT BETWEEN -1000 AND 1000
            THEN format('priority must be from -1000 to 1000, not %s', NEW.priority)
        ELSE mediaq.options_problem(NEW.options)
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER mediaq_check_request BEFORE INSERT ON public.media_analysis_requests
    FOR EACH ROW EXECUTE FUNCTION mediaq.check_request();

-- Our one door to the queue: Procrastinate's SQL functions are versioned and change.
CREATE FUNCTION mediaq.queue_jobs(ids UUID[]) RETURNS VOID
LANGUAGE sql SET search_path = mediaq, pg_temp
AS $$
    SELECT procrastinate_defer_jobs_v1(jobs)
      FROM (
        SELECT array_agg(
                   ROW(media_type, 'mediaq.analyse', priority, NULL, NULL,
                       jsonb_build_object('request_id', request_id),
                       CASE WHEN run_after > now() THEN run_after END
                   )::procrastinate_job_to_defer_v1
                   ORDER BY created_at, ordinal) AS jobs
          FROM unnest(ids) WITH ORDINALITY AS asked (request_id, ordinal)
          JOIN public.media_analysis_requests USING (request_id)) AS batch
     WHERE jobs IS NOT NULL;
$$;

-- One call of the request's callback_url for each of these events; see mediaq/delivery.py. A first
-- call goes before waiting requests, a repeated one among them.
CREATE FUNCTION mediaq.queue_deliveries(event_ids BIGINT[], attempt INTEGER, due TIMESTAMPTZ) RETURNS VOID
LANGUAGE sql SET search_path = mediaq, pg_temp
AS $$
    SELECT procrastinate_defer_jobs_v1(array_agg(
               ROW('webhooks', 'mediaq.deliver', CASE attempt WHEN 1 THEN 1001 ELSE 0 END, NULL, NULL,
                   jsonb_build_object('event_id', event_id, 'attempt', attempt), due
               )::procrastinate_job_to_defer_v1))
      FROM unnest(event_ids) AS event_id
    HAVING count(*) > 0;
$$;

CREATE FUNCTION mediaq.request_inserted() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = mediaq, pg_temp
AS $$
BEGIN
    PERFORM queue_jobs((SELECT array_agg(request_id) FROM new_rows));
    INSERT INTO events (request_id, event, status, media_type, attempt)
        SELECT request_id, status, status, media_type, attempt FROM new_rows;
    RETURN NULL;
END;
$$;

CREATE TRIGGER mediaq_request_inserted AFTER INSERT ON public.media_analysis_requests
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mediaq.request_inserted();

CREATE FUNCTION mediaq.check_change() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change CONSTANT TEXT := OLD.status || ' to ' || NEW.status;
    problem TEXT;
BEGIN
    IF NEW.request_id <> OLD.request_id THEN
        problem := 'a request keeps its request_id';
    ELSIF NEW.status IS NULL THEN
        problem := 'status must be pending, processing, completed, failed or cancelled, not NULL';
    ELSIF NEW.run_after NOT BETWEEN '1900-01-01' AND '9000-01-01' THEN
        problem := format('run_after must be a time from 1900 to 9000, not %s', NEW.run_after);
    ELSIF NEW.created_at NOT BETWEEN '1900-01-01' AND '9000-01-01' THEN
        problem := format('created_at must be a time from 1900 to 9000, not %s', NEW.created_at);
    ELSIF NEW.options IS DISTINCT FROM OLD.options THEN
        NEW.options := coalesce(nullif(NEW.options, 'null'), '{}');
        problem := mediaq.options_problem(NEW.options);
    END IF;
    NEW.attempt := OLD.attempt;
    NEW.callback_url := nullif(btrim(NEW.callback_url), '');

    IF problem IS NOT NULL THEN
        NULL;
    ELSIF NEW.status = OLD.status THEN
        NEW.started_at := OLD.started_at;
        NEW.completed_at := OLD.completed_at;
        NEW.processing_time_ms := OLD.processing_time_ms;
    ELSIF change = 'pending to processing' THEN
        NEW.attempt := OLD.attempt + 1;
        NEW.started_at := clock_timestamp();
        NEW.completed_at := NULL;
    ELSIF change IN ('processing to completed', 'processing to failed',
                     'processing to cancelled', 'pending to cancelled') THEN
        NEW.completed_at := clock_timestamp();
        NEW.processing_time_ms :=
            least(extract(epoch FROM NEW.completed_at - NEW.started_at) * 1000, 2147483647)::integer;
    ELSIF change = 'processing to pending' THEN            -- will be retried
        NEW.started_at := NULL;
    ELSIF change IN ('failed to pending', 'cancelled to pending') THEN    -- asked again
        NEW.failed_attempts := 0;
        NEW.lost_attempts := 0;
        NEW.error_message := NULL;
        NEW.error_details := '{}';
        NEW.started_at := NULL;
        NEW.completed_at := NULL;
        NEW.processing_time_ms := NULL;
    ELSIF NEW.status NOT IN ('pending', 'processing', 'completed', 'failed', 'cancelled') THEN
        problem := format('status must be pending, processing, completed, failed or cancelled, not "%s"', NEW.status);
    ELSIF OLD.status = 'completed' THEN
        problem := format('a completed request cannot become %s; insert a new request', NEW.status);
    ELSE
        problem := format('a request cannot go from %s', change);
    END IF;

    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'request_id ' || OLD.request_id;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER mediaq_check_change BEFORE UPDATE ON public.media_analysis_requests
    FOR EACH ROW EXECUTE FUNCTION mediaq.check_change();

-- A role that may UPDATE nothing but status asks again and cancels. It runs as whoever updates.
CREATE FUNCTION mediaq.check_verdict() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT has_column_privilege('public.media_analysis_requests', 'error_message', 'UPDATE') THEN
        RAISE EXCEPTION 'a client may set status to pending or cancelled, not to %', NEW.status
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'request_id ' || OLD.request_id;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER mediaq_check_verdict BEFORE UPDATE ON public.media_analysis_requests
    FOR EACH ROW
    WHEN (NEW.status <> OLD.status AND NEW.status IN ('processing', 'completed', 'failed'))
    EXECUTE FUNCTION mediaq.check_verdict();

CREATE FUNCTION mediaq.request_changed() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = mediaq, pg_temp
AS $$
DECLARE
    to_deliver BIGINT[];
BEGIN
    WITH told AS (
        INSERT INTO events (request_id, event, status, media_type, attempt, error)
            SELECT n.request_id, n.status, n.status, n.media_type, n.attempt, n.error_message
              FROM new_rows AS n JOIN old_rows AS o USING (request_id)
             WHERE n.status <> o.status
        RETURNING event_id, event, request_id)
    SELECT array_agg(event_id) INTO to_deliver
      FROM told JOIN new_rows USING (request_id)
     WHERE callback_url IS NOT NULL AND event IN ('completed', 'failed', 'cancelled');
    IF to_deliver IS NOT NULL THEN
        PERFORM queue_deliveries(to_deliver, 1, NULL);
    END IF;
    UPDATE attempts AS a
       SET finished_at = clock_timestamp(),
           outcome = CASE
               WHEN n.lost_attempts > o.lost_attempts THEN 'lost'
               WHEN n.status <> 'pending' THEN n.status
               WHEN n.failed_attempts > o.failed_attempts THEN 'retried'
               ELSE 'given back' END,
           error_class = n.error_details ->> 'class',
           error_message = n.error_message
      FROM new_rows AS n JOIN old_rows AS o USING (request_id)
     WHERE o.status = 'processing' AND n.status <> 'processing'
       AND (a.request_id, a.attempt) = (o.request_id, o.attempt);
    -- Also what shall run sooner: its job waits for the old time. A job too many ends quietly.
    PERFORM queue_jobs(array_agg(n.request_id))
       FROM new_rows AS n JOIN old_rows AS o USING (request_id)
      WHERE n.status = 'pending'
        AND (o.status <> 'pending' OR o.run_after > coalesce(n.run_after, '-infinity')
             OR n.priority > o.priority);
    RETURN NULL;
END;
$$;

CREATE TRIGGER mediaq_request_changed AFTER UPDATE ON public.media_analysis_requests
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mediaq.request_changed();

CREATE FUNCTION mediaq.request_deleted() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = mediaq, pg_temp
AS $$
BEGIN
    INSERT INTO events (request_id, event, status, media_type, attempt)
        SELECT request_id, 'deleted', status, media_type, attempt FROM old_rows;
    -- One job per thousand requests; what no worker has claimed has no bytes. The jobs go before
    -- waiting requests, for what they free may be what those wait for.
    PERFORM procrastinate_defer_jobs_v1(array_agg(
                ROW('files', 'mediaq.remove_files', 1001, NULL, NULL,
                    jsonb_build_object('request_ids', ids), NULL
                )::procrastinate_job_to_defer_v1))
       FROM (SELECT jsonb_agg(request_id) AS ids
               FROM (SELECT request_id, (row_number() OVER () - 1) / 1000 AS batch
                       FROM old_rows WHERE attempt > 0) AS claimed
              GROUP BY batch) AS batches
     HAVING count(*) > 0;
    RETURN NULL;
END;
$$;

CREATE TRIGGER mediaq_request_deleted AFTER DELETE ON public.media_analysis_requests
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mediaq.request_deleted();

CREATE FUNCTION mediaq.step_finished() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = mediaq, pg_temp
AS $$
BEGIN
    INSERT INTO events (request_id, event, status, media_type, attempt, data)
        SELECT n.request_id, 'step.finished', r.status, r.media_type, n.attempt,
               jsonb_build_object('step', n.step, 'duration_ms', n.duration_ms)
          FROM new_rows AS n JOIN public.media_analysis_requests AS r USING (request_id);
    RETURN NULL;
END;
$$;

CREATE TRIGGER mediaq_step_finished AFTER INSERT ON mediaq.steps
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mediaq.step_finished();

-- NOTIFY is a bell, the row is the message: ids travel as strings, since JavaScript rounds large
-- integers, and the error is cut, since a payload ends at 8000 bytes.
CREATE FUNCTION mediaq.ring() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = mediaq, pg_temp
AS $$
BEGIN
    PERFORM pg_notify(
        CASE WHEN event IN ('completed', 'failed', 'cancelled') THEN 'mediaq_events' ELSE 'mediaq_progress' END,
        json_build_object(
            'v', 1,
            'event_id', event_id::text,
            'request_id', request_id,
            'event', event,
            'status', status,
            'media_type', media_type,
            'at', at,
            'error', left(error, 500))::text)
       FROM new_rows ORDER BY event_id;
    RETURN NULL;
END;
$$;

CREATE TRIGGER mediaq_ring AFTER INSERT ON mediaq.events
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mediaq.ring();
