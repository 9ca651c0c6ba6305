-- Rows of the full form in every state that matters; {video} stands for a file that can be read.
INSERT INTO media_analysis_requests
    (request_id, media_type, status, prompt, media_path, media_url, completed_at, user_metadata)
VALUES
    ('00000000-0000-0000-0000-000000000001', 'video', 'completed', 'p', '/a.mp4', NULL, now(), NULL),
    ('00000000-0000-0000-0000-000000000002', 'video', 'pending', NULL, '{video}', NULL, NULL, '[]'),
    ('00000000-0000-0000-0000-000000000003', 'auto', 'pending', NULL, NULL, NULL, NULL, '{}'),
    ('00000000-0000-0000-0000-000000000004', 'video', 'processing', NULL, '/d.mp4', NULL, NULL, '{}');
INSERT INTO media_files (request_id, file_type, file_path)
VALUES ('00000000-0000-0000-0000-000000000001', 'frame', '/f.jpg');
