-- The older short form of the four tables, as views: clients written against it work unchanged
-- with search_path = minimal, public. What does not map one to one, and what is done:
--
--   media_url is a path       stored as media_path and read back as media_url.
--   media_type is free text   'video/mp4', 'PDF' and the like become the type they name, anything
--                             else 'auto'; the client reads back what it wrote.
--   status                    the older form knows no order of states, and its clients analyse by
--                             themselves: pending becomes completed or failed by way of processing,
--                             so such a verdict is honoured, an attempt of a worker of ours is fenced
--                             off, and the queued job ends quietly. completed and cancelled stay
--                             final, in the state machine's own words.
--   latency_ms, completed_at  read back as the client said them; the tables keep the database's own
--                             times. Both are forgotten with the next attempt.
--   rows without a request    results, sheets and every file of the older form may stand alone; the
--                             tables' request_id is required. They are kept in mediaq.loose_*, which
--                             the views show beside the rest. No stand-in request is made: it would
--                             be listed, counted and cleaned up as if somebody had asked for it.
--   contact sheet             its storage_path is a row of media_files, as for sheets of ours.
--   result                    result_type follows the request's media_type, provider the model's name.
--
-- INSERT ... ON CONFLICT needs the tables: views with triggers do not take it.

CREATE SCHEMA minimal;

ALTER TABLE public.media_analysis_requests
    -- What a client of schema minimal said that has no column here, and during which attempt.
    ADD COLUMN IF NOT EXISTS outside JSONB;

-- No foreign keys: these rows belong to no request, or to one that was never here.
CREATE TABLE mediaq.loose_results (
    id UUID PRIMARY KEY,
    request_id UUID,
    result_text TEXT NOT NULL,
    model_used VARCHAR(100) NOT NULL,
    prompt_used TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd DECIMAL(10, 6),
    latency_ms INTEGER,
    created_at TIMESTAMP WITH TIME ZONE
);

CREATE TABLE mediaq.loose_files (
    id UUID PRIMARY KEY,
    filename VARCHAR(255) NOT NULL,
    original_path TEXT,
    storage_path TEXT NOT NULL,
    size_bytes BIGINT,
    mime_type VARCHAR(100),
    uploaded_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE
);
CREATE INDEX loose_files_uploaded_idx ON mediaq.loose_files (uploaded_at DESC);

CREATE TABLE mediaq.loose_sheets (
    id UUID PRIMARY KEY,
    request_id UUID,
    storage_path TEXT NOT NULL,
    frames_count INTEGER NOT NULL,
    grid_layout VARCHAR(20),
    created_at TIMESTAMP WITH TIME ZONE
);

CREATE VIEW minimal.media_analysis_requests AS
SELECT request_id AS id,
       coalesce(media_url, media_path) AS media_url,
       prompt,
       coalesce(outside ->> 'media_type', media_type)::varchar(20) AS media_type,
       status,
       model_used,
       CASE WHEN (outside ->> 'attempt')::integer = attempt AND (status <> 'pending' OR attempt = 0)
            THEN (outside ->> 'latency_ms')::integer
            ELSE processing_time_ms END AS latency_ms,
       error_message,
       created_at,
       CASE WHEN (outside ->> 'attempt')::integer = attempt AND (status <> 'pending' OR attempt = 0)
            THEN coalesce((outside ->> 'completed_at')::timestamp with time zone, completed_at)
            ELSE completed_at END AS completed_at
  FROM public.media_analysis_requests;

CREATE VIEW minimal.media_analysis_results AS
SELECT result_id AS id,
       request_id,
       coalesce(content, content_json::text, '') AS result_text,
       coalesce(model_name, provider)::varchar(100) AS model_used,
       prompt_used,
       input_tokens,
       output_tokens,
       cost_usd,
       processing_time_ms AS latency_ms,
       created_at
  FROM public.media_analysis_results
UNION ALL
SELECT id, request_id, result_text, model_used, prompt_used, input_tokens, output_tokens, cost_usd,
       latency_ms, created_at
  FROM mediaq.loose_results;

CREATE VIEW minimal.media_files AS
SELECT file_id AS id,
       coalesce(file_name, right(substring(file_path FROM '[^/]*$'), 255))::varchar(255) AS filename,
       original_path,
       file_path AS storage_path,
       file_size_bytes AS size_bytes,
       mime_type,
       created_at AS uploaded_at,
       expires_at
  FROM public.media_files
UNION ALL
SELECT id, filename, original_path, storage_path, size_bytes, mime_type, uploaded_at, expires_at
  FROM mediaq.loose_files;

CREATE VIEW minimal.contact_sheets AS
SELECT contact_sheet_id AS id,
       request_id,
       coalesce(
           (SELECT f.file_path FROM public.media_files AS f WHERE f.file_id = s.file_id),
           metadata ->> 'storage_path', '') AS storage_path,
       frame_count AS frames_count,
       coalesce(metadata ->> 'grid_layout', grid_cols || 'x' || grid_rows)::varchar(20) AS grid_layout,
       created_at
  FROM public.contact_sheets AS s
UNION ALL
SELECT id, request_id, storage_path, frames_count, grid_layout, created_at
  FROM mediaq.loose_sheets;

ALTER VIEW minimal.media_analysis_requests ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER VIEW minimal.media_analysis_requests ALTER COLUMN status SET DEFAULT 'pending';
ALTER VIEW minimal.media_analysis_requests ALTER COLUMN created_at SET DEFAULT now();
ALTER VIEW minimal.media_analysis_results ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER VIEW minimal.media_analysis_results ALTER COLUMN created_at SET DEFAULT now();
ALTER VIEW minimal.media_files ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER VIEW minimal.media_files ALTER COLUMN uploaded_at SET DEFAULT now();
ALTER VIEW minimal.contact_sheets ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER VIEW minimal.contact_sheets ALTER COLUMN grid_layout SET DEFAULT '2x3';
ALTER VIEW minimal.contact_sheets ALTER COLUMN created_at SET DEFAULT now();

-- The functions below write as their owner: what a role may do is said by grants on the views.

-- The table's media_type for what an older client calls it.
CREATE FUNCTION mediaq.kind_of(said TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN kind IN ('video', 'audio', 'document', 'auto') THEN kind
        WHEN kind ~ '^(video|audio)/' THEN split_part(kind, '/', 1)
        WHEN kind ~ '^(application/)?(pdf|docx?|pptx?|xlsx?)$' OR kind ~ '^text/' THEN 'document'
        ELSE 'auto' END
      FROM (SELECT lower(btrim(said)) AS kind) AS trimmed;
$$;

-- Whose model it is, by its name; 'internal' when the name says nothing.
CREATE FUNCTION mediaq.provider_of(model TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN model ~* '(^|/)(gpt|chatgpt|o[1-9]|whisper-1|tts-|dall-e|openai)' THEN 'openai'
        WHEN model ~* '(^|/)(claude|anthropic)' THEN 'anthropic'
        WHEN model ~* '(^|/)(gemini|google)' THEN 'google'
        WHEN model ~* '(^|/)(minimax|abab)' THEN 'minimax'
        WHEN model ~* '(^|/)(nova-[0-9]|deepgram)' THEN 'deepgram'
        WHEN model ~* '(^|/)(llama|mixtral|groq|whisper-large-v3|distil-whisper)' THEN 'groq'
        ELSE 'internal' END;
$$;

CREATE FUNCTION mediaq.result_type_of(media_type TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE media_type
        WHEN 'video' THEN 'vision_analysis'
        WHEN 'audio' THEN 'audio_analysis'
        WHEN 'document' THEN 'text_analysis'
        ELSE 'summary' END;
$$;

-- The two numbers of a layout such as '2x3'; NULL when it is none.
CREATE FUNCTION mediaq.grid_of(layout TEXT) RETURNS INTEGER[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT regexp_match(layout, '^([1-9][0-9]{0,2})x([1-9][0-9]{0,2})$')::integer[];
$$;

-- What the older form's constraints say of a row, in PostgreSQL's own words; or nothing.
-- old_row is NULL for an insert; a row of ours that never had a value may go on without.
CREATE FUNCTION mediaq.refuse_missing(
    relation TEXT, old_row JSONB, new_row JSONB, VARIADIC required TEXT[]) RETURNS VOID
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY required LOOP
        IF new_row ->> name IS NULL AND (old_row IS NULL OR old_row ->> name IS NOT NULL) THEN
            RAISE EXCEPTION 'null value in column "%" of relation "%" violates not-null constraint', name, relation
                USING ERRCODE = 'not_null_violation', COLUMN = name, TABLE = relation;
        END IF;
    END LOOP;
END;
$$;

CREATE FUNCTION mediaq.refuse_taken(relation TEXT, taken BOOLEAN, id UUID) RETURNS VOID
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF taken THEN
        RAISE EXCEPTION 'duplicate key value violates unique constraint "%_pkey"', relation
            USING ERRCODE = 'unique_violation', DETAIL = format('Key (id)=(%s) already exists.', id);
    END IF;
END;
$$;

CREATE FUNCTION mediaq.write_minimal_request() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held public.media_analysis_requests;
    said TEXT;
    target TEXT;
    way TEXT[];
    stop TEXT;
    is_url BOOLEAN;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM public.media_analysis_requests WHERE request_id = OLD.id;
        RETURN CASE WHEN FOUND THEN OLD END;
    END IF;

    PERFORM mediaq.refuse_missing(
        TG_TABLE_NAME, CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW), 'media_url', 'prompt', 'media_type');
    NEW.status := lower(btrim(coalesce(NEW.status, 'pending')));
    -- Other schemes are refused by check_request; a path is none.
    is_url := NEW.media_url ~* '^[a-z][a-z0-9+.-]*://';
    said := CASE WHEN mediaq.kind_of(NEW.media_type) <> NEW.media_type THEN NEW.media_type END;

    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.media_analysis_requests (
            request_id, media_type, media_url, media_path, prompt, created_at, model_used,
            error_message, outside)
        VALUES (
            coalesce(NEW.id, gen_random_uuid()), mediaq.kind_of(NEW.media_type),
            CASE WHEN is_url THEN NEW.media_url END, CASE WHEN NOT is_url THEN NEW.media_url END,
            NEW.prompt, NEW.created_at, NEW.model_used, NEW.error_message,
            CASE WHEN said IS NOT NULL THEN jsonb_build_object('media_type', said) END)
        RETURNING request_id INTO NEW.id;
        IF NEW.status <> 'pending' OR NEW.latency_ms IS NOT NULL OR NEW.completed_at IS NOT NULL THEN
            UPDATE minimal.media_analysis_requests
               SET status = NEW.status, latency_ms = NEW.latency_ms, completed_at = NEW.completed_at
             WHERE id = NEW.id;
        END IF;
        SELECT * INTO NEW FROM minimal.media_analysis_requests WHERE id = NEW.id;
        RETURN NEW;
    END IF;

    IF NEW.id IS DISTINCT FROM OLD.id THEN
        RAISE EXCEPTION 'a request keeps its id' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO held FROM public.media_analysis_requests WHERE request_id = OLD.id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- A view's row is not looked at again once its lock is held, as a table's is. So whoever claims
    -- a request that somebody else has changed since gets no row.
    IF NEW.status = 'processing' AND OLD.status <> 'processing' AND held.status <> OLD.status THEN
        RETURN NULL;
    END IF;
    target := CASE WHEN NEW.status <> OLD.status THEN NEW.status ELSE held.status END;
    way := CASE
        WHEN held.status = 'pending' AND target IN ('completed', 'failed') THEN ARRAY['processing']
        WHEN held.status = 'failed' AND target = 'processing' THEN ARRAY['pending']
        WHEN held.status = 'failed' AND target = 'completed' THEN ARRAY['pending', 'processing']
        ELSE ARRAY[]::TEXT[] END;
    FOREACH stop IN ARRAY way LOOP
        UPDATE public.media_analysis_requests SET status = stop WHERE request_id = OLD.id;
    END LOOP;
    UPDATE public.media_analysis_requests
       SET status = target,
           media_url = CASE WHEN NEW.media_url IS NOT DISTINCT FROM OLD.media_url THEN media_url
                            WHEN is_url THEN NEW.media_url END,
           media_path = CASE WHEN NEW.media_url IS NOT DISTINCT FROM OLD.media_url THEN media_path
                             WHEN NOT is_url THEN NEW.media_url END,
           media_type = CASE WHEN NEW.media_type = OLD.media_type THEN media_type ELSE mediaq.kind_of(NEW.media_type) END,
           prompt = NEW.prompt,
           model_used = NEW.model_used,
           error_message = CASE WHEN NEW.error_message IS DISTINCT FROM OLD.error_message
                                THEN NEW.error_message ELSE error_message END,
           created_at = NEW.created_at,
           outside = nullif(CASE
               WHEN NEW.media_type = OLD.media_type THEN coalesce(outside, '{}')
               ELSE jsonb_strip_nulls(coalesce(outside, '{}') || jsonb_build_object('media_type', said)) END
               || CASE
               WHEN target = held.status
                    AND (NEW.latency_ms, NEW.completed_at) IS NOT DISTINCT FROM (OLD.latency_ms, OLD.completed_at)
               THEN '{}'
               ELSE jsonb_build_object(
                   'attempt', attempt + (target = 'processing' AND status <> 'processing')::integer,
                   'latency_ms', NEW.latency_ms,
                   'completed_at', NEW.completed_at) END, '{}')
     WHERE request_id = OLD.id;
    SELECT * INTO NEW FROM minimal.media_analysis_requests WHERE id = OLD.id;
    RETURN NEW;
END;
$$;

CREATE FUNCTION mediaq.write_minimal_result() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM public.media_analysis_results WHERE result_id = OLD.id;
        IF NOT FOUND THEN
            DELETE FROM mediaq.loose_results WHERE id = OLD.id;
        END IF;
        RETURN CASE WHEN FOUND THEN OLD END;
    END IF;

    PERFORM mediaq.refuse_missing(
        TG_TABLE_NAME, CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW), 'result_text', 'model_used');
    IF TG_OP = 'INSERT' THEN
        NEW.id := coalesce(NEW.id, gen_random_uuid());
        NEW.created_at := coalesce(NEW.created_at, now());
        PERFORM mediaq.refuse_taken(
            TG_TABLE_NAME, EXISTS (SELECT FROM minimal.media_analysis_results WHERE id = NEW.id), NEW.id);
        IF NEW.request_id IS NULL THEN
            INSERT INTO mediaq.loose_results SELECT NEW.*;
        ELSE
            INSERT INTO public.media_analysis_results (
                result_id, request_id, result_type, provider, model_name, content, prompt_used,
                input_tokens, output_tokens, token_count, cost_usd, processing_time_ms, metadata,
                created_at)
            VALUES (
                NEW.id, NEW.request_id,
                mediaq.result_type_of((
                    SELECT media_type FROM public.media_analysis_requests WHERE request_id = NEW.request_id)),
                mediaq.provider_of(NEW.model_used), NEW.model_used, NEW.result_text, NEW.prompt_used,
                NEW.input_tokens, NEW.output_tokens, NEW.input_tokens + NEW.output_tokens,
                NEW.cost_usd, NEW.latency_ms, '{"from": "minimal"}', NEW.created_at);
        END IF;
        RETURN NEW;
    END IF;

    IF NEW.id IS DISTINCT FROM OLD.id OR (NEW.request_id IS NULL) <> (OLD.request_id IS NULL) THEN
        DELETE FROM minimal.media_analysis_results WHERE id = OLD.id;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        INSERT INTO minimal.media_analysis_results SELECT NEW.*;
        RETURN NEW;
    END IF;
    UPDATE public.media_analysis_results
       SET request_id = NEW.request_id,
           content = CASE WHEN NEW.result_text = OLD.result_text THEN content ELSE NEW.result_text END,
           model_name = CASE WHEN NEW.model_used = OLD.model_used THEN model_name ELSE NEW.model_used END,
           prompt_used = NEW.prompt_used,
           input_tokens = NEW.input_tokens,
           output_tokens = NEW.output_tokens,
           cost_usd = NEW.cost_usd,
           processing_time_ms = NEW.latency_ms,
           created_at = NEW.created_at
     WHERE result_id = OLD.id;
    IF NOT FOUND THEN
        UPDATE mediaq.loose_results
           SET (request_id, result_text, model_used, prompt_used, input_tokens, output_tokens, cost_usd,
                latency_ms, created_at)
             = (NEW.request_id, NEW.result_text, NEW.model_used, NEW.prompt_used, NEW.input_tokens,
                NEW.output_tokens, NEW.cost_usd, NEW.latency_ms, NEW.created_at)
         WHERE id = OLD.id;
    END IF;
    RETURN CASE WHEN FOUND THEN NEW END;
END;
$$;

CREATE FUNCTION mediaq.write_minimal_file() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM public.media_files WHERE file_id = OLD.id;
        IF NOT FOUND THEN
            DELETE FROM mediaq.loose_files WHERE id = OLD.id;
        END IF;
        RETURN CASE WHEN FOUND THEN OLD END;
    END IF;

    PERFORM mediaq.refuse_missing(
        TG_TABLE_NAME, CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW), 'filename', 'storage_path');
    IF TG_OP = 'INSERT' THEN
        NEW.id := coalesce(NEW.id, gen_random_uuid());
        NEW.uploaded_at := coalesce(NEW.uploaded_at, now());
        PERFORM mediaq.refuse_taken(
            TG_TABLE_NAME, EXISTS (SELECT FROM minimal.media_files WHERE id = NEW.id), NEW.id);
        INSERT INTO mediaq.loose_files SELECT NEW.*;
        RETURN NEW;
    END IF;

    IF NEW.id IS DISTINCT FROM OLD.id THEN
        RAISE EXCEPTION 'a file keeps its id' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE public.media_files
       SET file_name = NEW.filename,
           original_path = NEW.original_path,
           file_path = NEW.storage_path,
           file_size_bytes = NEW.size_bytes,
           mime_type = NEW.mime_type,
           created_at = NEW.uploaded_at,
           expires_at = NEW.expires_at
     WHERE file_id = OLD.id;
    IF NOT FOUND THEN
        UPDATE mediaq.loose_files
           SET (filename, original_path, storage_path, size_bytes, mime_type, uploaded_at, expires_at)
             = (NEW.filename, NEW.original_path, NEW.storage_path, NEW.size_bytes, NEW.mime_type,
                NEW.uploaded_at, NEW.expires_at)
         WHERE id = OLD.id;
    END IF;
    RETURN CASE WHEN FOUND THEN NEW END;
END;
$$;

CREATE FUNCTION mediaq.write_minimal_sheet() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    grid INTEGER[];
    picture UUID;
    said JSONB;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM public.contact_sheets WHERE contact_sheet_id = OLD.id RETURNING file_id INTO picture;
        IF FOUND THEN
            -- The older form has no second row for the picture.
            DELETE FROM public.media_files WHERE file_id = picture AND metadata ->> 'from' = 'minimal';
            RETURN OLD;
        END IF;
        DELETE FROM mediaq.loose_sheets WHERE id = OLD.id;
        RETURN CASE WHEN FOUND THEN OLD END;
    END IF;

    PERFORM mediaq.refuse_missing(
        TG_TABLE_NAME, CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW), 'storage_path', 'frames_count');
    NEW.grid_layout := coalesce(NEW.grid_layout, '2x3');
    grid := coalesce(mediaq.grid_of(NEW.grid_layout), ARRAY[2, 3]);
    said := jsonb_strip_nulls(jsonb_build_object(
        'from', 'minimal',
        'storage_path', NEW.storage_path,
        'grid_layout', CASE WHEN mediaq.grid_of(NEW.grid_layout) IS NULL THEN NEW.grid_layout END));
    IF TG_OP = 'INSERT' THEN
        NEW.id := coalesce(NEW.id, gen_random_uuid());
        NEW.created_at := coalesce(NEW.created_at, now());
        PERFORM mediaq.refuse_taken(
            TG_TABLE_NAME, EXISTS (SELECT FROM minimal.contact_sheets WHERE id = NEW.id), NEW.id);
        IF NEW.request_id IS NULL THEN
            INSERT INTO mediaq.loose_sheets SELECT NEW.*;
        ELSE
            INSERT INTO public.media_files (
                request_id, file_type, file_path, file_name, metadata, created_at)
            VALUES (
                NEW.request_id, 'contact_sheet', NEW.storage_path,
                right(substring(NEW.storage_path FROM '[^/]*$'), 255), '{"from": "minimal"}', NEW.created_at)
            RETURNING file_id INTO picture;
            INSERT INTO public.contact_sheets (
                contact_sheet_id, request_id, file_id, grid_cols, grid_rows, frame_count,
                frames_per_sheet, generation_method, metadata, created_at)
            VALUES (
                NEW.id, NEW.request_id, picture, grid[1], grid[2], NEW.frames_count,
                grid[1] * grid[2], 'custom', said, NEW.created_at);
        END IF;
        RETURN NEW;
    END IF;

    IF NEW.id IS DISTINCT FROM OLD.id OR (NEW.request_id IS NULL) <> (OLD.request_id IS NULL) THEN
        DELETE FROM minimal.contact_sheets WHERE id = OLD.id;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        INSERT INTO minimal.contact_sheets SELECT NEW.*;
        RETURN NEW;
    END IF;
    UPDATE public.contact_sheets
       SET request_id = NEW.request_id,
           frame_count = NEW.frames_count,
           grid_cols = grid[1],
           grid_rows = grid[2],
           frames_per_sheet = CASE WHEN NEW.grid_layout = OLD.grid_layout THEN frames_per_sheet ELSE grid[1] * grid[2] END,
           metadata = (metadata - 'grid_layout') || said,
           created_at = NEW.created_at
     WHERE contact_sheet_id = OLD.id
    RETURNING file_id INTO picture;
    IF FOUND THEN
        UPDATE public.media_files
           SET file_path = NEW.storage_path, request_id = NEW.request_id
         WHERE file_id = picture
           AND (file_path, request_id) IS DISTINCT FROM (NEW.storage_path, NEW.request_id);
        RETURN NEW;
    END IF;
    UPDATE mediaq.loose_sheets
       SET (request_id, storage_path, frames_count, grid_layout, created_at)
         = (NEW.request_id, NEW.storage_path, NEW.frames_count, NEW.grid_layout, NEW.created_at)
     WHERE id = OLD.id;
    RETURN CASE WHEN FOUND THEN NEW END;
END;
$$;

CREATE TRIGGER mediaq_write INSTEAD OF INSERT OR UPDATE OR DELETE ON minimal.media_analysis_requests
    FOR EACH ROW EXECUTE FUNCTION mediaq.write_minimal_request();
CREATE TRIGGER mediaq_write INSTEAD OF INSERT OR UPDATE OR DELETE ON minimal.media_analysis_results
    FOR EACH ROW EXECUTE FUNCTION mediaq.write_minimal_result();
CREATE TRIGGER mediaq_write INSTEAD OF INSERT OR UPDATE OR DELETE ON minimal.media_files
    FOR EACH ROW EXECUTE FUNCTION mediaq.write_minimal_file();
CREATE TRIGGER mediaq_write INSTEAD OF INSERT OR UPDATE OR DELETE ON minimal.contact_sheets
    FOR EACH ROW EXECUTE FUNCTION mediaq.write_minimal_sheet();
