-- Least privilege: three group roles. Run it as the owner of the database, which may create roles,
-- after `mediaq migrate`, and again after every later one:
--
--     psql "$DATABASE_URL" --set ON_ERROR_STOP=1 --file deploy/sql/roles.sql
--
-- They cannot log in. Logins are made by the operator and put into one of them:
--
--     CREATE ROLE shop LOGIN PASSWORD '...' IN ROLE mediaq_client;
--
--   mediaq_client    asks: inserts requests, cancels them, asks again, reads everything, listens
--   mediaq_minimal   a client of the older short form that analyses by itself: all of the views of
--                    schema minimal, and with them verdicts and deletes
--   mediaq_worker    what worker, API, `mediaq cleanup` and the other commands need; `mediaq migrate`
--                    needs the owner
--
-- A role with SELECT, INSERT, UPDATE and DELETE on all tables of public works too, and may do more:
-- claim, record verdicts, delete.

BEGIN;

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['mediaq_client', 'mediaq_minimal', 'mediaq_worker'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END;
$$;

-- Before PostgreSQL 15 everybody may create in public.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- Functions are for everybody unless that is taken back. Triggers need no such right to run; with
-- it, a client could hang mediaq's functions on tables of its own and write events.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA mediaq FROM PUBLIC;

-- A second run takes back what an older version of this file gave.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM mediaq_client, mediaq_minimal, mediaq_worker;
REVOKE ALL ON ALL TABLES IN SCHEMA mediaq FROM mediaq_client, mediaq_minimal, mediaq_worker;
REVOKE ALL ON ALL TABLES IN SCHEMA minimal FROM mediaq_client, mediaq_minimal, mediaq_worker;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA mediaq FROM mediaq_client, mediaq_minimal, mediaq_worker;

-- mediaq_client --------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA public, mediaq, minimal TO mediaq_client;
GRANT SELECT ON public.media_analysis_requests, public.media_analysis_results, public.media_files,
    public.contact_sheets TO mediaq_client;
-- What a bell points to, for a client that was away.
GRANT SELECT ON mediaq.events TO mediaq_client;
-- Clients such as n8n name status and send NULL, or 'pending'; the database refuses anything else.
DO $$
DECLARE
    -- group_key and columns yet to come are granted where they exist.
    columns CONSTANT TEXT[] := ARRAY[
        'request_id', 'media_type', 'status', 'prompt', 'media_url', 'media_path', 'user_metadata',
        'created_by', 'source_endpoint', 'options', 'priority', 'run_after', 'callback_url',
        'idempotency_key', 'group_key'];
BEGIN
    EXECUTE (
        SELECT format('GRANT INSERT (%s) ON public.media_analysis_requests TO mediaq_client, mediaq_worker',
                      string_agg(quote_ident(attname), ', '))
          FROM pg_attribute
         WHERE attrelid = 'public.media_analysis_requests'::regclass AND attname = ANY (columns)
               AND NOT attisdropped);
END;
$$;
-- To cancel and to ask again; claims and verdicts are refused to whoever may update status alone.
GRANT UPDATE (status) ON public.media_analysis_requests TO mediaq_client;
-- No DELETE: clients see each other's requests, and what is deleted cannot be asked for again. For
-- one that may:   GRANT DELETE ON public.media_analysis_requests TO shop;
-- The older short form, to ask and to read.
GRANT SELECT ON ALL TABLES IN SCHEMA minimal TO mediaq_client;
GRANT INSERT (id, media_url, prompt, media_type) ON minimal.media_analysis_requests TO mediaq_client;

-- mediaq_minimal -------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA public, minimal TO mediaq_minimal;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA minimal TO mediaq_minimal;

-- mediaq_worker --------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA public, mediaq TO mediaq_worker;
GRANT SELECT ON public.media_analysis_requests TO mediaq_worker;
-- DELETE is for cleaning up; rows that belong to a request go with it.
GRANT UPDATE, DELETE ON public.media_analysis_requests TO mediaq_worker;
GRANT SELECT, INSERT ON public.media_analysis_results, public.media_files, public.contact_sheets
    TO mediaq_worker;
-- The program's own tables; which migrations are applied is the owner's to write.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mediaq TO mediaq_worker;
REVOKE INSERT, UPDATE, DELETE ON mediaq.migrations FROM mediaq_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA mediaq TO mediaq_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mediaq TO mediaq_worker;

COMMIT;
