-- Rows that were there before mediaq: those of the older short form are copied from schema
-- mediaq_adopted, where 0001 moved their tables, and whatever waits gets its job.
--
--   ids          kept
--   status       completed, failed and cancelled stay; pending becomes a request that is queued, and
--                so does processing, since whoever worked on it worked on the old table; any other
--                becomes failed and says so
--   the rest     as through the views of schema minimal; columns of another script's own go to
--                user_metadata -> adopted
--
-- The originals stay as they were, with what does not fit the new columns' lengths.

DO $$
DECLARE
    granted RECORD;
BEGIN
    IF to_regclass('mediaq_adopted.media_analysis_requests') IS NOT NULL THEN
        -- They would refuse a request that begins completed.
        ALTER TABLE public.media_analysis_requests DISABLE TRIGGER USER;
        INSERT INTO public.media_analysis_requests (
            request_id, media_type, status, prompt, media_url, media_path, created_at, completed_at,
            processing_time_ms, error_message, error_details, user_metadata, source_endpoint, model_used,
            outside)
        SELECT o.id, read.kind, read.verdict, o.prompt,
               CASE WHEN o.media_url ~* '^[a-z][a-z0-9+.-]*://' THEN o.media_url END,
               CASE WHEN o.media_url !~* '^[a-z][a-z0-9+.-]*://' THEN o.media_url END,
               coalesce((j ->> 'created_at')::timestamp with time zone, now()),
               CASE WHEN read.verdict <> 'pending' THEN coalesce((j ->> 'completed_at')::timestamp with time zone,
                                                           CASE WHEN NOT read.known THEN now() END) END,
               CASE WHEN read.verdict <> 'pending' THEN (j ->> 'latency_ms')::numeric::integer END,
               CASE WHEN read.known THEN j ->> 'error_message'
                    ELSE format('the row had the status "%s" when mediaq took it over, which mediaq does not know%s',
                                left(o.status, 60), coalesce('; its error was: ' || (j ->> 'error_message'), '')) END,
               CASE WHEN read.known THEN '{}' ELSE jsonb_build_object('class', 'Adopted', 'status', o.status) END,
               CASE WHEN read.more = '{}' THEN '{}' ELSE jsonb_build_object('adopted', read.more) END,
               'adopted',
               left(j ->> 'model_used', 100),
               CASE WHEN read.kind <> o.media_type THEN jsonb_build_object('media_type', left(o.media_type, 20)) END
          FROM mediaq_adopted.media_analysis_requests AS o,
               to_jsonb(o) AS j,
               lower(btrim(o.status)) AS said,
               LATERAL (SELECT
                   coalesce(said IN ('pending', 'processing', 'completed', 'failed', 'cancelled', 'canceled'), FALSE) AS known,
                   CASE WHEN said IN ('completed', 'failed', 'cancelled') THEN said
                        WHEN said = 'canceled' THEN 'cancelled'
                        WHEN said IN ('pending', 'processing') THEN 'pending'
                        ELSE 'failed' END AS verdict,
                   mediaq.kind_of(coalesce(o.media_type, 'auto')) AS kind,
                   j - ARRAY['id', 'media_url', 'prompt', 'media_type', 'status', 'model_used', 'latency_ms',
                             'error_message', 'created_at', 'completed_at'] AS more) AS read;
        ALTER TABLE public.media_analysis_requests ENABLE TRIGGER USER;
    END IF;

    IF to_regclass('mediaq_adopted.media_analysis_results') IS NOT NULL THEN
        -- A result of a request that is gone stands alone, and still names it.
        INSERT INTO mediaq.loose_results
        SELECT o.id, o.request_id, coalesce(o.result_text, ''), left(coalesce(o.model_used, ''), 100),
               j ->> 'prompt_used', (j ->> 'input_tokens')::integer, (j ->> 'output_tokens')::integer,
               (j ->> 'cost_usd')::numeric, (j ->> 'latency_ms')::numeric::integer,
               (j ->> 'created_at')::timestamp with time zone
          FROM mediaq_adopted.media_analysis_results AS o, to_jsonb(o) AS j
         WHERE NOT EXISTS (SELECT FROM public.media_analysis_requests AS r WHERE r.request_id = o.request_id);
        INSERT INTO minimal.media_analysis_results
        SELECT o.id, o.request_id, coalesce(o.result_text, ''), left(coalesce(o.model_used, ''), 100),
               j ->> 'prompt_used', (j ->> 'input_tokens')::integer, (j ->> 'output_tokens')::integer,
               (j ->> 'cost_usd')::numeric, (j ->> 'latency_ms')::numeric::integer,
               (j ->> 'created_at')::timestamp with time zone
          FROM mediaq_adopted.media_analysis_results AS o
          JOIN public.media_analysis_requests USING (request_id), to_jsonb(o) AS j;
    END IF;

    IF to_regclass('mediaq_adopted.media_files') IS NOT NULL THEN
        INSERT INTO mediaq.loose_files
        SELECT o.id, left(coalesce(o.filename, ''), 255), j ->> 'original_path', coalesce(o.storage_path, ''),
               (j ->> 'size_bytes')::bigint, left(j ->> 'mime_type', 100),
               (j ->> 'uploaded_at')::timestamp with time zone, (j ->> 'expires_at')::timestamp with time zone
          FROM mediaq_adopted.media_files AS o, to_jsonb(o) AS j;
    END IF;

    IF to_regclass('mediaq_adopted.contact_sheets') IS NOT NULL THEN
        INSERT INTO mediaq.loose_sheets
        SELECT o.id, o.request_id, coalesce(o.storage_path, ''), coalesce(o.frames_count, 0),
               left(j ->> 'grid_layout', 20), (j ->> 'created_at')::timestamp with time zone
          FROM mediaq_adopted.contact_sheets AS o, to_jsonb(o) AS j
         WHERE NOT EXISTS (SELECT FROM public.media_analysis_requests AS r WHERE r.request_id = o.request_id);
        INSERT INTO minimal.contact_sheets
        SELECT o.id, o.request_id, coalesce(o.storage_path, ''), coalesce(o.frames_count, 0),
               left(j ->> 'grid_layout', 20), (j ->> 'created_at')::timestamp with time zone
          FROM mediaq_adopted.contact_sheets AS o
          JOIN public.media_analysis_requests USING (request_id), to_jsonb(o) AS j;
    END IF;

    -- Who could use a table can use the view with its name.
    FOR granted IN
        SELECT DISTINCT c.relname, a.privilege_type,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
          FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
         WHERE c.relnamespace = to_regnamespace('mediaq_adopted') AND c.relkind = 'r'
               AND c.relname IN ('media_analysis_requests', 'media_analysis_results', 'media_files', 'contact_sheets')
               AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA minimal TO %s', granted.grantee);
        EXECUTE format('GRANT %s ON minimal.%I TO %s', granted.privilege_type, granted.relname, granted.grantee);
    END LOOP;
END;
$$;

-- Of tables in the full form too: no trigger saw those rows come. One that is processing without a
-- worker is left to recovery, as after any crash.
WITH waiting AS MATERIALIZED (
    SELECT request_id, media_type, attempt FROM public.media_analysis_requests AS r
     WHERE status = 'pending'
       AND NOT EXISTS (
           SELECT FROM mediaq.procrastinate_jobs
            WHERE status IN ('todo', 'doing') AND args ->> 'request_id' = r.request_id::text)),
told AS (
    INSERT INTO mediaq.events (request_id, event, status, media_type, attempt)
    SELECT request_id, 'pending', 'pending', media_type, attempt FROM waiting)
SELECT mediaq.queue_jobs(array_agg(request_id)) FROM waiting;
