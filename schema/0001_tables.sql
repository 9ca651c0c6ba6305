-- The four tables that other services know. Their columns, checks and index names are a contract:
-- mediaq adds to them (0002) and never renames or drops.

--
-- A database may hold them already: in the full form, created by another script, they stay where
-- they are; in the older short form they move to schema mediaq_adopted, with all rows, indexes and
-- triggers, and 0007 copies the rows. What is neither is refused in one sentence, and nothing is done.

DO $$
DECLARE
    names CONSTANT TEXT[] := ARRAY[
        'media_analysis_requests', 'media_analysis_results', 'media_files', 'contact_sheets'];
    -- By table: the key of the full form, and what a table of the short form cannot do without.
    keys CONSTANT JSONB := '{
        "media_analysis_requests": "request_id", "media_analysis_results": "result_id",
        "media_files": "file_id", "contact_sheets": "contact_sheet_id"}';
    needed CONSTANT JSONB := '{
        "media_analysis_requests": ["media_url", "prompt", "media_type", "status"],
        "media_analysis_results": ["request_id", "result_text", "model_used"],
        "media_files": ["filename", "storage_path"],
        "contact_sheets": ["request_id", "storage_path", "frames_count"]}';
    tab TEXT;
    columns TEXT[];
    problem TEXT;
    short TEXT[] := '{}';
    full_form TEXT[] := '{}';
BEGIN
    FOREACH tab IN ARRAY names LOOP
        CONTINUE WHEN to_regclass('public.' || tab) IS NULL;
        columns := ARRAY(
            SELECT attname FROM pg_attribute
             WHERE attrelid = to_regclass('public.' || tab) AND attnum > 0 AND NOT attisdropped);
        IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('public.' || tab)) <> 'r' THEN
            problem := format('public.%s is not a plain table', tab);
        ELSIF keys ->> tab = ANY (columns) THEN
            full_form := full_form || tab;
        ELSIF 'id' <> ALL (columns) OR NOT columns @> ARRAY(SELECT jsonb_array_elements_text(needed -> tab)) THEN
            problem := format(
                'public.%s has neither the full form (%s) nor the older short form (id, %s)', tab,
                keys ->> tab, (SELECT string_agg(n, ', ') FROM jsonb_array_elements_text(needed -> tab) AS n));
        ELSE
            short := short || tab;
            SELECT format('public.%s.%s has type %s; the older short form has uuid', tab, attname,
                          format_type(atttypid, atttypmod))
              INTO problem FROM pg_attribute
             WHERE attrelid = to_regclass('public.' || tab) AND attname IN ('id', 'request_id')
                   AND atttypid <> 'uuid'::regtype;
        END IF;
        EXIT WHEN problem IS NOT NULL;
    END LOOP;
    IF problem IS NULL AND names[1] = ANY (short) AND full_form <> '{}' THEN
        problem := format('public.%s has the older short form, but public.%s the full one', names[1], full_form[1]);
    END IF;
    IF problem IS NULL AND short <> '{}' THEN
        -- They would go on pointing to the old tables, which no longer change.
        SELECT format('the view %s reads public.%s, which has the older short form and is to be replaced',
                      v.oid::regclass, t.relname)
          INTO problem
          FROM pg_class AS t
          JOIN pg_depend AS d ON d.refobjid = t.oid AND d.refclassid = 'pg_class'::regclass
                              AND d.classid = 'pg_rewrite'::regclass
          JOIN pg_rewrite AS r ON r.oid = d.objid
          JOIN pg_class AS v ON v.oid = r.ev_class
         WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY (short) AND v.oid <> t.oid
         LIMIT 1;
    END IF;
    IF problem IS NULL AND short <> '{}' THEN
        SELECT format('the table %s refers to public.%s, which has the older short form and is to be replaced',
                      c.conrelid::regclass, t.relname)
          INTO problem
          FROM pg_class AS t JOIN pg_constraint AS c ON c.confrelid = t.oid AND c.contype = 'f'
         WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY (short)
           AND c.conrelid <> ALL (ARRAY(SELECT to_regclass('public.' || n) FROM unnest(short) AS n))
         LIMIT 1;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING HINT = 'drop it, or move it to another schema with ALTER ... SET SCHEMA, and migrate again';
    END IF;
    IF short <> '{}' THEN
        CREATE SCHEMA IF NOT EXISTS mediaq_adopted;
        COMMENT ON SCHEMA mediaq_adopted IS
            'Tables of the older short form as mediaq found them; their rows are copied, nothing reads these.';
        FOREACH tab IN ARRAY short LOOP
            EXECUTE format('ALTER TABLE public.%I SET SCHEMA mediaq_adopted', tab);
        END LOOP;
    END IF;
END;
$$;

CREATE TABLE IF NOT EXISTS public.media_analysis_requests (
    request_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    media_type VARCHAR(20) NOT NULL CHECK (media_type IN ('video', 'audio', 'document', 'auto')),
    status VARCHAR(30) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    prompt TEXT,
    media_url TEXT,
    media_path TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    processing_time_ms INTEGER,
    confidence_score DECIMAL(5, 4),
    error_message TEXT,
    error_details JSONB DEFAULT '{}',
    user_metadata JSONB DEFAULT '{}',
    created_by VARCHAR(100),
    source_endpoint VARCHAR(100),
    provider_chain JSONB DEFAULT '[]',
    api_costs JSONB DEFAULT '{}'
);

CREATE INDEX IF NOT EXISTS idx_media_requests_status
    ON public.media_analysis_requests (status);
CREATE INDEX IF NOT EXISTS idx_media_requests_created_at
    ON public.media_analysis_requests (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_media_requests_media_type
    ON public.media_analysis_requests (media_type);
CREATE INDEX IF NOT EXISTS idx_media_requests_status_created
    ON public.media_analysis_requests (status, created_at DESC);

CREATE TABLE IF NOT EXISTS public.media_analysis_results (
    result_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    request_id UUID NOT NULL REFERENCES public.media_analysis_requests (request_id) ON DELETE CASCADE,
    result_type VARCHAR(50) NOT NULL CHECK (result_type IN (
        'transcription', 'vision_analysis', 'summary', 'classification', 'object_detection',
        'scene_detection', 'audio_analysis', 'text_analysis', 'face_detection', 'motion_analysis',
        'metadata_extraction')),
    provider VARCHAR(50) NOT NULL CHECK (provider IN (
        'minimax', 'deepgram', 'groq', 'openai', 'google', 'anthropic', 'internal')),
    model_name VARCHAR(100),
    content TEXT,
    content_json JSONB,
    confidence_score DECIMAL(5, 4),
    processing_time_ms INTEGER,
    token_count INTEGER,
    cost_usd DECIMAL(10, 6),
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idx_results_request_id ON public.media_analysis_results (request_id);
CREATE INDEX IF NOT EXISTS idx_results_result_type ON public.media_analysis_results (result_type);
CREATE INDEX IF NOT EXISTS idx_results_provider ON public.media_analysis_results (provider);
CREATE INDEX IF NOT EXISTS idx_results_created_at ON public.media_analysis_results (created_at DESC);

CREATE TABLE IF NOT EXISTS public.media_files (
    file_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    request_id UUID NOT NULL REFERENCES public.media_analysis_requests (request_id) ON DELETE CASCADE,
    file_type VARCHAR(30) NOT NULL CHECK (file_type IN (
        'frame', 'contact_sheet', 'audio', 'transcription', 'document', 'thumbnail', 'preview',
        'original', 'processed', 'archive')),
    file_path TEXT NOT NULL,
    file_name VARCHAR(255),
    file_size_bytes BIGINT,
    mime_type VARCHAR(100),
    width INTEGER,
    height INTEGER,
    duration_seconds DECIMAL(10, 3),
    frame_number INTEGER,
    sequence_order INTEGER,
    checksum VARCHAR(64),
    storage_location VARCHAR(50) DEFAULT 'local'
        CHECK (storage_location IN ('local', 'r2', 's3', 'gcs')),
    remote_url TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idx_files_request_id ON public.media_files (request_id);
CREATE INDEX IF NOT EXISTS idx_files_file_type ON public.media_files (file_type);
CREATE INDEX IF NOT EXISTS idx_files_created_at ON public.media_files (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_files_mime_type ON public.media_files (mime_type);

CREATE TABLE IF NOT EXISTS public.contact_sheets (
    contact_sheet_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    request_id UUID NOT NULL REFERENCES public.media_analysis_requests (request_id) ON DELETE CASCADE,
    file_id UUID REFERENCES public.media_files (file_id) ON DELETE SET NULL,
    grid_cols INTEGER NOT NULL DEFAULT 2,
    grid_rows INTEGER NOT NULL DEFAULT 3,
    frame_count INTEGER NOT NULL,
    frames_per_sheet INTEGER NOT NULL,
    sheet_number INTEGER,
    total_sheets INTEGER,
    frame_interval_seconds DECIMAL(10, 3),
    image_width INTEGER,
    image_height INTEGER,
    thumbnail_width INTEGER,
    thumbnail_height INTEGER,
    generation_method VARCHAR(50) DEFAULT 'ffmpeg'
        CHECK (generation_method IN ('ffmpeg', 'opencv', 'custom')),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idx_contact_sheets_request_id ON public.contact_sheets (request_id);
CREATE INDEX IF NOT EXISTS idx_contact_sheets_file_id ON public.contact_sheets (file_id);

-- Tables of another script: what the rest of this schema builds on must be there.
DO $$
DECLARE
    wanted CONSTANT TEXT[] := ARRAY[
        'media_analysis_requests: request_id uuid, media_type text, status text, prompt text, media_url text, '
        'media_path text, created_at timestamp with time zone, started_at timestamp with time zone, '
        'completed_at timestamp with time zone, processing_time_ms integer, confidence_score numeric, '
        'error_message text, error_details jsonb, user_metadata jsonb, created_by text, source_endpoint text, '
        'provider_chain jsonb, api_costs jsonb',
        'media_analysis_results: result_id uuid, request_id uuid, result_type text, provider text, '
        'model_name text, content text, content_json jsonb, confidence_score numeric, '
        'processing_time_ms integer, token_count integer, cost_usd numeric, metadata jsonb, '
        'created_at timestamp with time zone',
        'media_files: file_id uuid, request_id uuid, file_type text, file_path text, file_name text, '
        'file_size_bytes bigint, mime_type text, width integer, height integer, duration_seconds numeric, '
        'frame_number integer, sequence_order integer, checksum text, storage_location text, '
        'remote_url text, created_at timestamp with time zone',
        'contact_sheets: contact_sheet_id uuid, request_id uuid, file_id uuid, grid_cols integer, '
        'grid_rows integer, frame_count integer, frames_per_sheet integer, sheet_number integer, '
        'total_sheets integer, frame_interval_seconds numeric, image_width integer, image_height integer, '
        'thumbnail_width integer, thumbnail_height integer, generation_method text, '
        'created_at timestamp with time zone'];
    entry TEXT;
    tab TEXT;
    relation REGCLASS;
    problem TEXT;
BEGIN
    FOREACH entry IN ARRAY wanted LOOP
        tab := split_part(entry, ':', 1);
        relation := ('public.' || tab)::regclass;
        WITH contract AS (
            SELECT split_part(part, ' ', 1) AS name, substr(part, strpos(part, ' ') + 1) AS type, ordinal
              FROM unnest(string_to_array(split_part(entry, ': ', 2), ', ')) WITH ORDINALITY AS t (part, ordinal)),
        found AS (
            SELECT attname, attnotnull, atthasdef OR attidentity <> '' AS filled,
                   replace(replace(format_type(atttypid, NULL), 'character varying', 'text'),
                           'bigint', 'integer') AS type
              FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped)
        SELECT CASE
                   WHEN f.attname IS NULL THEN format('public.%s has no column %s', tab, c.name)
                   WHEN c.name IS NULL THEN format(
                       'public.%s has a column %s of its own that must be filled and has no default', tab, f.attname)
                   ELSE format('public.%s.%s has type %s, not %s', tab, c.name, f.type, c.type) END
          INTO problem
          FROM contract AS c FULL JOIN found AS f ON f.attname = c.name
         WHERE f.attname IS NULL OR (c.name IS NULL AND f.attnotnull AND NOT f.filled)
               OR f.type <> replace(c.type, 'bigint', 'integer')
         ORDER BY c.ordinal LIMIT 1;
        IF problem IS NULL AND NOT EXISTS (
            SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = relation AND a.attnum = i.indkey[0]
             WHERE i.indrelid = relation AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL
                   AND a.attname = split_part(split_part(entry, ': ', 2), ' ', 1))
        THEN
            problem := format('public.%s has no primary key on %s', tab,
                              split_part(split_part(entry, ': ', 2), ' ', 1));
        END IF;
        IF problem IS NULL AND tab <> 'media_analysis_requests' AND NOT EXISTS (
            SELECT FROM pg_constraint AS c
              JOIN pg_attribute AS a ON a.attrelid = relation AND ARRAY[a.attnum] = c.conkey
             WHERE c.conrelid = relation AND c.contype = 'f' AND c.confdeltype = 'c'
                   AND c.confrelid = 'public.media_analysis_requests'::regclass AND a.attname = 'request_id')
        THEN
            problem := format(
                'public.%s.request_id has no foreign key to media_analysis_requests with ON DELETE CASCADE', tab);
        END IF;
        EXIT WHEN problem IS NOT NULL;
    END LOOP;
    IF problem IS NULL THEN
        SELECT format('a row of public.media_analysis_requests has the %s',
                      CASE WHEN media_type IN ('video', 'audio', 'document', 'auto') THEN 'status "' || status
                           ELSE 'media_type "' || media_type END || '", which the full form does not allow')
          INTO problem FROM public.media_analysis_requests
         WHERE status NOT IN ('pending', 'processing', 'completed', 'failed', 'cancelled')
               OR media_type NOT IN ('video', 'audio', 'document', 'auto')
         LIMIT 1;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING HINT = 'the four tables were created by another script; bring them to the full form, and migrate again';
    END IF;
END;
$$;
