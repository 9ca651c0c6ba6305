-- The ends of jobs that stay, as those that failed do, are dated by Procrastinate's events: keeping them for
-- some days goes by that. The jobs that end well are deleted, and nothing is noted of them.
CREATE TRIGGER mediaq_job_ended AFTER UPDATE OF status ON mediaq.procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status IN ('failed', 'succeeded', 'cancelled', 'aborted'))
    EXECUTE FUNCTION mediaq.procrastinate_trigger_function_status_events_update_v1();
