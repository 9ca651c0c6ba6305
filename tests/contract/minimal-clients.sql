-- What clients of the older short form say, conversation by conversation, each on empty tables.
-- A test says it to tables of that form and to the views of schema minimal, and compares.

-- name: insert
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
SELECT id, media_url, prompt, media_type, status, model_used, latency_ms, error_message, created_at IS NOT NULL, completed_at FROM media_analysis_requests;
INSERT INTO media_analysis_requests (media_url, prompt, media_type) VALUES ('https://a.example/1', 'p', 'audio'), ('https://a.example/2', 'p', 'document');
SELECT count(DISTINCT id), count(created_at) FROM media_analysis_requests;

-- name: insert_of_every_column
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type, status,
    model_used, latency_ms, error_message, created_at, completed_at)
    VALUES ('11111111-1111-1111-1111-111111111111', '/data/a.mp4', '', 'image', 'completed', 'gemini-2.0', 17, 'late',
    '2025-01-02 03:04:05.678901+00', '2025-01-02 03:05:00+00') RETURNING *;
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type, status,
    latency_ms, completed_at, created_at)
    VALUES ('22222222-2222-2222-2222-222222222222', 'https://media.example/a.mp4', 'p', 'video/mp4', 'pending', 0, '2025-01-02 03:05:00+00',
    DEFAULT) RETURNING id, media_type, status, latency_ms, completed_at;
SELECT * FROM media_analysis_requests WHERE status = 'completed';

-- name: after_processing
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
UPDATE media_analysis_requests SET status = 'completed', model_used = 'gpt-4o',
    latency_ms = 1234, completed_at = '2026-01-01 00:00:00+00' WHERE id = '11111111-1111-1111-1111-111111111111'
    RETURNING id, status, model_used, latency_ms, completed_at;
INSERT INTO media_analysis_results (request_id, result_text, model_used, prompt_used,
    input_tokens, output_tokens, cost_usd, latency_ms)
    VALUES ('11111111-1111-1111-1111-111111111111', 'a cat', 'gpt-4o', 'what?', 10, 20, 0.001234, 1234);
INSERT INTO contact_sheets (request_id, storage_path, frames_count, grid_layout)
    VALUES ('11111111-1111-1111-1111-111111111111', '/sheets/a.jpg', 6, '2x3') RETURNING storage_path, grid_layout;
SELECT r.status, r.latency_ms, r.completed_at, x.result_text, x.cost_usd, x.latency_ms,
    s.storage_path, s.frames_count FROM media_analysis_requests r
    JOIN media_analysis_results x ON x.request_id = r.id
    JOIN contact_sheets s ON s.request_id = r.id;
UPDATE media_analysis_requests SET model_used = 'gpt-4.1', latency_ms = 7 RETURNING model_used, latency_ms, completed_at;

-- name: failure_by_steps
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
UPDATE media_analysis_requests SET status = 'processing' WHERE id = '11111111-1111-1111-1111-111111111111';
SELECT status, completed_at, latency_ms FROM media_analysis_requests;
UPDATE media_analysis_requests SET status = 'failed', error_message = 'no sound', latency_ms = 5, completed_at = '2026-01-01 00:00:00+00' WHERE status = 'processing' RETURNING status, error_message, latency_ms, completed_at;
SELECT status, error_message, latency_ms FROM media_analysis_requests;
UPDATE media_analysis_requests SET status = 'completed', error_message = NULL RETURNING status, error_message, latency_ms;

-- name: failure_at_once
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
UPDATE media_analysis_requests SET status = 'failed', error_message = 'x' RETURNING status;
UPDATE media_analysis_requests SET status = 'processing', error_message = NULL;
UPDATE media_analysis_requests SET status = 'pending' RETURNING status;
UPDATE media_analysis_requests SET prompt = 'again', media_url = '/b.mp4', media_type = 'podcast', created_at = '2020-01-01 00:00:00+00' RETURNING prompt, media_url, media_type, created_at, status;
SELECT media_url, media_type FROM media_analysis_requests WHERE media_type = 'podcast';

-- name: claims
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
UPDATE media_analysis_requests SET status = 'processing' WHERE id = (
    SELECT id FROM media_analysis_requests WHERE status = 'pending' ORDER BY created_at
    LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id;
UPDATE media_analysis_requests SET status = 'processing' WHERE status = 'pending' RETURNING id;

-- name: results
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
INSERT INTO media_analysis_results (id, request_id, result_text, model_used, prompt_used,
    input_tokens, output_tokens, cost_usd, latency_ms, created_at)
    VALUES ('33333333-3333-3333-3333-333333333333', '11111111-1111-1111-1111-111111111111', 'text', 'm', 'p', 1, 2, 1234.000001, 3,
    '2025-01-01 00:00:00+00') RETURNING *;
INSERT INTO media_analysis_results (id, result_text, model_used) VALUES ('44444444-4444-4444-4444-444444444444', 't', 'm') RETURNING id, request_id, result_text, model_used, prompt_used, cost_usd, latency_ms;
UPDATE media_analysis_results SET result_text = 'new', model_used = 'n', input_tokens = 9, latency_ms = NULL, cost_usd = 2 WHERE id = '33333333-3333-3333-3333-333333333333' RETURNING *;
UPDATE media_analysis_results SET result_text = 'new', cost_usd = 3 WHERE id = '44444444-4444-4444-4444-444444444444' RETURNING result_text, cost_usd;
UPDATE media_analysis_results SET request_id = '11111111-1111-1111-1111-111111111111' WHERE id = '44444444-4444-4444-4444-444444444444' RETURNING request_id;
UPDATE media_analysis_results SET request_id = NULL WHERE id = '33333333-3333-3333-3333-333333333333';
SELECT id, request_id, result_text, cost_usd FROM media_analysis_results ORDER BY id;
DELETE FROM media_analysis_results WHERE id = '33333333-3333-3333-3333-333333333333' RETURNING id;
DELETE FROM media_analysis_requests RETURNING id;
SELECT count(*) FROM media_analysis_results;

-- name: files
INSERT INTO media_files (id, filename, original_path, storage_path, size_bytes,
    mime_type, uploaded_at, expires_at)
    VALUES ('33333333-3333-3333-3333-333333333333', 'a.mp4', '/in/a.mp4', '/store/a.mp4', 5000000000, 'video/mp4',
    '2025-01-01 00:00:00+00', '2025-02-01 00:00:00+00') RETURNING *;
INSERT INTO media_files (filename, storage_path) VALUES ('b', '/b') RETURNING filename, original_path, storage_path, size_bytes, mime_type, expires_at, id IS NOT NULL, uploaded_at IS NOT NULL;
UPDATE media_files SET filename = 'c.mp4', original_path = NULL, storage_path = '/c', size_bytes = 1, mime_type = 'x/y', expires_at = NULL WHERE id = '33333333-3333-3333-3333-333333333333' RETURNING *;
SELECT filename FROM media_files ORDER BY uploaded_at DESC;
DELETE FROM media_files WHERE filename = 'b' RETURNING filename;
DELETE FROM media_files;
SELECT count(*) FROM media_files;

-- name: sheets
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
INSERT INTO contact_sheets (id, request_id, storage_path, frames_count, grid_layout,
    created_at) VALUES ('33333333-3333-3333-3333-333333333333', '11111111-1111-1111-1111-111111111111', '/s/1.jpg', 24, '4x6',
    '2025-01-01 00:00:00+00') RETURNING *;
INSERT INTO contact_sheets (id, storage_path, frames_count) VALUES ('44444444-4444-4444-4444-444444444444', '/s/2', 6) RETURNING id, request_id, storage_path, frames_count, grid_layout;
INSERT INTO contact_sheets (request_id, storage_path, frames_count, grid_layout) VALUES ('11111111-1111-1111-1111-111111111111', '/s/3', 6, 'mosaic') RETURNING grid_layout;
UPDATE contact_sheets SET storage_path = '/s/9.jpg', frames_count = 12, grid_layout = '3x4' WHERE id = '33333333-3333-3333-3333-333333333333' RETURNING *;
UPDATE contact_sheets SET request_id = '11111111-1111-1111-1111-111111111111', storage_path = '/s/8' WHERE id = '44444444-4444-4444-4444-444444444444' RETURNING storage_path;
SELECT request_id, storage_path, frames_count, grid_layout FROM contact_sheets ORDER BY storage_path;
DELETE FROM contact_sheets WHERE id = '33333333-3333-3333-3333-333333333333' RETURNING storage_path;
DELETE FROM media_analysis_requests;
SELECT count(*) FROM contact_sheets;

-- name: refusals
INSERT INTO media_analysis_requests (prompt, media_type) VALUES ('p', 'video');
INSERT INTO media_analysis_requests (media_url, media_type) VALUES ('https://media.example/a.mp4', 'video');
INSERT INTO media_analysis_requests (media_url, prompt) VALUES ('https://media.example/a.mp4', 'p');
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
INSERT INTO media_analysis_requests (id, media_url, prompt, media_type)
VALUES ('11111111-1111-1111-1111-111111111111', 'https://media.example/a.mp4', 'what?', 'video') RETURNING id, status;
UPDATE media_analysis_requests SET prompt = NULL;
INSERT INTO media_analysis_results (request_id, result_text, model_used) VALUES ('22222222-2222-2222-2222-222222222222', 't', 'm');
INSERT INTO media_analysis_results (request_id, model_used) VALUES ('11111111-1111-1111-1111-111111111111', 'm');
INSERT INTO media_analysis_results (request_id, result_text) VALUES ('11111111-1111-1111-1111-111111111111', 't');
INSERT INTO contact_sheets (request_id, storage_path, frames_count) VALUES ('22222222-2222-2222-2222-222222222222', '/s', 1);
INSERT INTO contact_sheets (request_id, frames_count) VALUES ('11111111-1111-1111-1111-111111111111', 1);
INSERT INTO contact_sheets (request_id, storage_path) VALUES ('11111111-1111-1111-1111-111111111111', '/s');
INSERT INTO media_files (storage_path) VALUES ('/s');
INSERT INTO media_files (filename) VALUES ('s');
INSERT INTO media_files (id, filename, storage_path) VALUES ('33333333-3333-3333-3333-333333333333', 's', 's');
INSERT INTO media_files (id, filename, storage_path) VALUES ('33333333-3333-3333-3333-333333333333', 's', 's');
SELECT count(*) FROM media_files;
