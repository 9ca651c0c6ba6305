-- What goes with time, and tables that are vacuumed in step with how fast they change.

-- Removes requests that ended longer ago than older_than, with all that was made of them, and says
-- how many. Requests that wait or run are never touched. With at_most, no more than so many at once,
-- so that a large table is cleaned in small transactions: call it until it answers 0.
-- It runs as whoever calls it: it needs, and gives, no more than DELETE on the requests.
CREATE FUNCTION public.cleanup_old_requests(
    older_than INTERVAL DEFAULT '30 days', at_most BIGINT DEFAULT NULL) RETURNS BIGINT
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before CONSTANT TIMESTAMP WITH TIME ZONE := now() - older_than;
    removed BIGINT;
BEGIN
    -- An interval that looks into the future would take everything.
    IF older_than IS NULL OR before > now() THEN
        RAISE EXCEPTION 'older_than must be an interval of 0 or more, such as ''30 days'''
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH old AS MATERIALIZED (
        SELECT request_id FROM public.media_analysis_requests
         WHERE status IN ('completed', 'failed', 'cancelled')
           -- Said of both times, so that the index on (status, created_at) finds the rows.
           AND (created_at <= before OR created_at IS NULL)
           AND coalesce(completed_at, created_at) <= before
         LIMIT at_most
           FOR UPDATE SKIP LOCKED)
    DELETE FROM public.media_analysis_requests AS r USING old WHERE r.request_id = old.request_id;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END;
$$;

-- The defaults wait for a fifth of a table to change. In a queue nearly every row is dead soon, and
-- a claim reads past the dead ones until they are vacuumed.
ALTER TABLE mediaq.procrastinate_jobs SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE mediaq.procrastinate_events SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE mediaq.events SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE public.media_analysis_requests SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02);
