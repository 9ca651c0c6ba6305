-- What the analysis of every kind of media asks of the tables: more options, and steps that say why
-- they made nothing.

-- A step that could do nothing for this file, such as a transcription without sound, is done as well.
ALTER TABLE mediaq.steps
    -- A word for programs, such as no_audio or no_provider_configured.
    ADD COLUMN skipped TEXT,
    -- The sentence for people.
    ADD COLUMN why TEXT,
    ADD CONSTRAINT steps_skipped_why CHECK ((skipped IS NULL) = (why IS NULL)) NOT VALID;

-- The same for option storyboard: true, false, or an object of what shall differ from the defaults.
CREATE FUNCTION mediaq.storyboard_problem(storyboard JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name TEXT;
    value JSONB;
    given TEXT;
    number NUMERIC;
BEGIN
    IF jsonb_typeof(storyboard) = 'boolean' THEN
        RETURN NULL;
    ELSIF jsonb_typeof(storyboard) <> 'object' THEN
        RETURN format('option storyboard must be true, false or an object such as {"interval_seconds": 10}, not %s', left(storyboard::text, 60));
    END IF;
    FOR name, value IN SELECT * FROM jsonb_each(storyboard) LOOP
        given := left(value::text, 60);
        number := CASE WHEN jsonb_typeof(value) = 'number' THEN value::text::numeric END;
        CASE name
        WHEN 'grid' THEN
            IF jsonb_typeof(value) <> 'string' OR value #>> '{}' !~ '^([1-9]|1[0-9]|20)x([1-9]|1[0-9]|20)$' THEN
                RETURN format('storyboard grid must be columns x rows from "1x1" to "20x20", such as "10x10", not %s', given);
            END IF;
        WHEN 'interval_seconds' THEN
            IF jsonb_typeof(value) <> 'null' AND (number IS NULL OR number NOT BETWEEN 0.1 AND 86400) THEN
                RETURN format('storyboard interval_seconds must be a number from 0.1 to 86400, not %s', given);
            END IF;
        WHEN 'width' THEN
            IF number IS NULL OR number <> trunc(number) OR number NOT BETWEEN 32 AND 640 THEN
                RETURN format('storyboard width must be a whole number of pixels from 32 to 640, not %s', given);
            END IF;
        ELSE
            RETURN format('unknown part "%s" of option storyboard; the parts are grid, interval_seconds, width', left(name, 60));
        END CASE;
    END LOOP;
    RETURN NULL;
END;
$$;

-- The sentence that says what is wrong with a request's options, or NULL.
-- mediaq.model.Options reads them by the same rules.
CREATE OR REPLACE FUNCTION mediaq.options_problem(options JSONB) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known CONSTANT TEXT[] := ARRAY[
        'exact', 'format', 'frames', 'gps', 'grid', 'interval_seconds', 'language', 'max_parallel',
        'storyboard', 'thumb_width', 'timeout_seconds', 'timestamps', 'want'];
    wanted CONSTANT TEXT[] := ARRAY[
        'audio_analysis', 'classification', 'contact_sheets', 'face_detection', 'metadata_extraction',
        'motion_analysis', 'object_detection', 'scene_detection', 'summary', 'text_analysis',
        'transcription', 'vision_analysis'];
    name TEXT;
    value JSONB;
    given TEXT;
    number NUMERIC;
    problem TEXT;
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
        WHEN 'max_parallel' THEN
            IF jsonb_typeof(value) <> 'null' AND (number IS NULL OR number <> trunc(number) OR number NOT BETWEEN 1 AND 1000) THEN
                RETURN format('option max_parallel must be a whole number from 1 to 1000, not %s', given);
            END IF;
        WHEN 'language' THEN
            IF jsonb_typeof(value) <> 'null' AND (jsonb_typeof(value) <> 'string' OR value #>> '{}' !~ '^[a-z]{2,3}$') THEN
                RETURN format('option language must be a code of ISO 639 such as "en", not %s', given);
            END IF;
        WHEN 'want' THEN
            IF jsonb_typeof(value) <> 'null' AND (jsonb_typeof(value) <> 'array' OR value = '[]' OR NOT wanted @> ARRAY(
                SELECT coalesce(CASE WHEN jsonb_typeof(one) = 'string' THEN one #>> '{}' END, '')
                  FROM jsonb_array_elements(CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE '[]' END) AS one)) THEN
                RETURN format('option want must be a list of some of %s, not %s', array_to_string(wanted, ', '), given);
            END IF;
        WHEN 'storyboard' THEN
            problem := mediaq.storyboard_problem(value);
            IF problem IS NOT NULL THEN
                RETURN problem;
            END IF;
        WHEN 'timestamps', 'exact', 'gps' THEN
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

CREATE OR REPLACE FUNCTION mediaq.step_finished() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = mediaq, pg_temp
AS $$
BEGIN
    INSERT INTO events (request_id, event, status, media_type, attempt, data)
        SELECT n.request_id, 'step.finished', r.status, r.media_type, n.attempt,
               jsonb_build_object('step', n.step, 'duration_ms', n.duration_ms)
                   || jsonb_strip_nulls(jsonb_build_object('skipped', n.skipped, 'why', n.why))
          FROM new_rows AS n JOIN public.media_analysis_requests AS r USING (request_id);
    RETURN NULL;
END;
$$;
