-- Rows of the older short form in every state; {video} stands for a file that can be read.
INSERT INTO media_analysis_requests
    (id, media_url, prompt, media_type, status, model_used, latency_ms, error_message, created_at,
     completed_at)
VALUES
    ('00000000-0000-0000-0000-000000000001', 'https://a.example/1.mp4', 'one', 'video', 'completed',
     'gpt-4o', 1234, NULL, '2025-01-01 00:00:00.123456+00', '2025-01-01 00:01:00+00'),
    ('00000000-0000-0000-0000-000000000002', 'https://a.example/2.mp3', 'two', 'audio', 'failed',
     NULL, 5, 'no sound', '2025-01-02 00:00:00+00', '2025-01-02 00:01:00+00'),
    ('00000000-0000-0000-0000-000000000003', '{video}', 'three', 'video/mp4', 'pending',
     NULL, NULL, NULL, '2025-01-03 00:00:00+00', NULL),
    ('00000000-0000-0000-0000-000000000004', '/gone.mp4', '', 'hologram', 'processing',
     NULL, NULL, NULL, '2025-01-04 00:00:00+00', NULL),
    ('00000000-0000-0000-0000-000000000005', 'https://a.example/5', 'five', 'document', 'waiting "x"',
     'm', 7, 'was slow', '2025-01-05 00:00:00+00', NULL),
    ('00000000-0000-0000-0000-000000000006', 'ftp://a.example/6', 'six', 'video', 'Cancelled',
     NULL, NULL, NULL, NULL, NULL);
INSERT INTO media_analysis_results
    (id, request_id, result_text, model_used, prompt_used, input_tokens, output_tokens, cost_usd,
     latency_ms, created_at)
VALUES
    ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000001', 'a cat',
     'gpt-4o', 'one', 10, 20, 0.001234, 1234, '2025-01-01 00:01:00+00'),
    ('00000000-0000-0000-0000-000000000012', NULL, 'of nothing', 'claude-3', NULL, NULL, NULL, NULL,
     NULL, '2025-01-01 00:02:00+00');
INSERT INTO media_files
    (id, filename, original_path, storage_path, size_bytes, mime_type, uploaded_at, expires_at)
VALUES
    ('00000000-0000-0000-0000-000000000021', 'a.mp4', '/in/a.mp4', '/s/a.mp4', 5000000000,
     'video/mp4', '2025-01-01 00:00:00+00', '2035-01-01 00:00:00+00');
INSERT INTO contact_sheets (id, request_id, storage_path, frames_count, grid_layout, created_at)
VALUES
    ('00000000-0000-0000-0000-000000000031', '00000000-0000-0000-0000-000000000001', '/s/1.jpg', 24,
     '4x6', '2025-01-01 00:00:00+00'),
    ('00000000-0000-0000-0000-000000000032', NULL, '/s/2.jpg', 6, '2x3', '2025-01-01 00:00:00+00');
