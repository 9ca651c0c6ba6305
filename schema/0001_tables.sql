-- The four tables that other services know. Their columns, checks and index names are a contract:
-- mediaq adds to them (0002) and never renames or drops.

DO $$
BEGIN
    IF to_regclass('public.media_analysis_requests') IS NOT NULL
       AND NOT EXISTS (
           SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('public.media_analysis_requests')
              AND attname = 'request_id' AND NOT attisdropped)
    THEN
        RAISE EXCEPTION 'public.media_analysis_requests exists in an older form without request_id'
            USING HINT = 'Move the four old tables to another schema (ALTER TABLE ... SET SCHEMA), then migrate again.';
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
