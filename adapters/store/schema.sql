-- The bucketed event log. Every table of it begins its keys with the bucket, so that the same schema runs on one
-- PostgreSQL and, unmodified, distributed by that column (ADR-0002). Read docs/log.md before touching it.

CREATE TABLE IF NOT EXISTS bucket_head (
    bucket smallint PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE IF NOT EXISTS event (
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    stream uuid NOT NULL,
    version integer NOT NULL,
    bucket smallint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (bucket, stream, version),
    UNIQUE (bucket, position),
    CHECK (bucket = ((get_byte(uuid_send(stream), 2) & 15) << 8 | get_byte(uuid_send(stream), 3)))
);

-- One row for each command that was carried out: repeating it is a no-op, another body under its id is refused.
CREATE TABLE IF NOT EXISTS command (
    bucket smallint NOT NULL,
    command uuid NOT NULL,
    body bytea NOT NULL,
    events integer NOT NULL,
    first bigint NOT NULL,
    PRIMARY KEY (bucket, command)
);

CREATE TABLE IF NOT EXISTS tracking (
    projection text NOT NULL,
    bucket smallint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (bucket, projection)
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

-- Followers of earlier versions took turns by the rows of a table of this name; one of now locks the tracking itself.
-- The view keeps an earlier version, also one that is opened again and would make its table, from following beside it.
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM pg_class WHERE oid = to_regclass('follower_slot') AND relkind = 'r') THEN
        DROP TABLE follower_slot;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION superseded() RETURNS SETOF text LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a newer version of Tallystick follows this log: use that one';
END $$;

CREATE OR REPLACE VIEW follower_slot AS SELECT s AS projection, 0::smallint AS slot FROM superseded() s;

-- Events that a projection could not take: their stream waits, others go on.
CREATE TABLE IF NOT EXISTS parked_event (
    bucket smallint NOT NULL,
    projection text NOT NULL,
    stream uuid NOT NULL,
    position bigint NOT NULL,
    error text NOT NULL,
    PRIMARY KEY (bucket, projection, position)
);

-- References as people write them, to identifiers: unique over all buckets, because the bucket is that of the name.
CREATE TABLE IF NOT EXISTS directory (
    bucket smallint NOT NULL,
    kind smallint NOT NULL,
    name text NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (bucket, kind, name)
);

CREATE INDEX IF NOT EXISTS directory_id ON directory (id);

-- Lines as issued, written in the transaction that issues the document.
CREATE TABLE IF NOT EXISTS billed_line (
    bucket smallint NOT NULL,
    license uuid NOT NULL,
    document uuid NOT NULL,
    line integer NOT NULL,
    generation bigint NOT NULL,
    payer uuid NOT NULL,
    currency text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (bucket, license, document, line)
);

-- The days of each stream that are billed and not taken back. Only `cover` and `uncover` write here (ADR-0020).
CREATE TABLE IF NOT EXISTS coverage (
    bucket smallint NOT NULL,
    license uuid NOT NULL,
    component text NOT NULL,
    payer uuid NOT NULL,
    currency text NOT NULL,
    occurrence text NOT NULL,
    days datemultirange NOT NULL,
    PRIMARY KEY (bucket, license, component, payer, currency, occurrence)
) WITH (fillfactor = 80);

-- The attempt by which an invoice may be paid at a provider: one at a time, whatever else goes wrong (ADR-0018).
CREATE TABLE IF NOT EXISTS live_instrument (
    bucket smallint NOT NULL,
    invoice uuid NOT NULL,
    attempt uuid NOT NULL,
    PRIMARY KEY (bucket, invoice)
);

-- What came in from outside is booked once over all accounts; the bucket is that of its name.
CREATE TABLE IF NOT EXISTS receipt_name (
    bucket smallint NOT NULL,
    receipt text NOT NULL,
    account uuid NOT NULL,
    PRIMARY KEY (bucket, receipt)
);

-- Bumped by every transaction that issues documents of the bucket: a run that read an older one starts again.
CREATE TABLE IF NOT EXISTS billing_generation (
    bucket smallint PRIMARY KEY,
    generation bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

CREATE OR REPLACE FUNCTION advance(p_bucket smallint, n integer, p_at timestamptz, OUT first bigint, OUT at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    p_at := coalesce(p_at, clock_timestamp());
    UPDATE bucket_head h SET position = h.position + n, recorded_at = greatest(h.recorded_at, p_at)
     WHERE h.bucket = p_bucket RETURNING h.position - n, h.recorded_at INTO STRICT first, at;
END $$;

CREATE OR REPLACE FUNCTION append_one(p_bucket smallint, p_at timestamptz, p_stream uuid, p_version integer,
    p_topic text, p_state bytea, p_command uuid, p_body bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_first bigint;
    v_at timestamptz;
BEGIN
    p_at := coalesce(p_at, clock_timestamp());
    UPDATE bucket_head h SET position = h.position + 1, recorded_at = greatest(h.recorded_at, p_at)
     WHERE h.bucket = p_bucket RETURNING h.position - 1, h.recorded_at INTO STRICT v_first, v_at;
    IF p_command IS NOT NULL THEN
        INSERT INTO command VALUES (p_bucket, p_command, p_body, 1, v_first);
    END IF;
    INSERT INTO event (bucket, position, recorded_at, stream, version, topic, state)
    VALUES (p_bucket, v_first + 1, v_at, p_stream, p_version, p_topic, p_state);
    RETURN v_first;
END $$;

CREATE OR REPLACE FUNCTION append(p_bucket smallint, p_at timestamptz, p_stream uuid[], p_version integer[],
    p_topic text[], p_state bytea[], p_command uuid, p_body bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_first bigint;
    v_at timestamptz;
BEGIN
    p_at := coalesce(p_at, clock_timestamp());
    UPDATE bucket_head h SET position = h.position + cardinality(p_stream), recorded_at = greatest(h.recorded_at, p_at)
     WHERE h.bucket = p_bucket RETURNING h.position - cardinality(p_stream), h.recorded_at INTO STRICT v_first, v_at;
    IF p_command IS NOT NULL THEN
        INSERT INTO command VALUES (p_bucket, p_command, p_body, cardinality(p_stream), v_first);
    END IF;
    INSERT INTO event (bucket, position, recorded_at, stream, version, topic, state)
    SELECT p_bucket, v_first + n, v_at, s, v, t, b
      FROM unnest(p_stream, p_version, p_topic, p_state) WITH ORDINALITY AS e(s, v, t, b, n);
    RETURN v_first;
END $$;

-- Following locks and reads one bucket at a time, by functions that are called for each: where buckets are distributed no
-- statement locks rows of several, and joined with the log a few buckets would be looked for in all of it. The plans
-- are kept, since making one takes longer than carrying it out.

-- Locks who stands before a head, and where; who moved on meanwhile is as now, who is held by others is passed over.
CREATE OR REPLACE FUNCTION claim(p_bucket smallint, p_head bigint, p_projections text[])
RETURNS TABLE (projection text, bucket smallint, after bigint)
LANGUAGE plpgsql ROWS 10 SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT t.projection, t.bucket, t.position FROM tracking t
     WHERE t.bucket = p_bucket AND t.projection = ANY(p_projections) AND t.position < p_head FOR UPDATE SKIP LOCKED;
END $$;

-- Moves who stands just at a position to another; who stands elsewhere or is held by others stays. Says who was moved.
CREATE OR REPLACE FUNCTION move_on(p_bucket smallint, p_from bigint, p_to bigint, p_projections text[])
RETURNS TABLE (projection text, bucket smallint)
LANGUAGE plpgsql ROWS 10 SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY UPDATE tracking t SET position = p_to
     WHERE t.bucket = p_bucket AND t.projection = ANY(ARRAY(SELECT s.projection FROM tracking s WHERE s.bucket = p_bucket
       AND s.projection = ANY(p_projections) AND s.position = p_from FOR UPDATE SKIP LOCKED))
    RETURNING t.projection, t.bucket;
END $$;

-- Locks where a projection stands, waiting for whoever holds it.
CREATE OR REPLACE FUNCTION hold(p_bucket smallint, p_projection text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM tracking t WHERE t.bucket = p_bucket AND t.projection = p_projection FOR UPDATE;
END $$;

-- Events after a position, up to another, whose topics begin with certain words.
CREATE OR REPLACE FUNCTION stretch(p_bucket smallint, p_after bigint, p_upto bigint, p_words text[])
RETURNS TABLE (bucket smallint, at bigint, stream uuid, version integer, topic text, state bytea)
LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT e.bucket, e.position, e.stream, e.version, e.topic, e.state FROM event e
     WHERE e.bucket = p_bucket AND e.position > p_after AND e.position <= p_upto
       AND split_part(e.topic, '.', 1) = ANY(p_words);
END $$;

-- Covers days, each stream once in a call. Refuses a day that is covered already, also by a transaction that was first.
CREATE OR REPLACE FUNCTION cover(p_bucket smallint[], p_license uuid[], p_component text[], p_payer uuid[],
    p_currency text[], p_occurrence text[], p_start date[], p_end date[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_done bigint;
BEGIN
    INSERT INTO coverage AS c
    SELECT b, l, m, p, y, o, datemultirange(daterange(s, e))
      FROM unnest(p_bucket, p_license, p_component, p_payer, p_currency, p_occurrence, p_start, p_end)
        AS n(b, l, m, p, y, o, s, e)
        ON CONFLICT (bucket, license, component, payer, currency, occurrence)
        DO UPDATE SET days = c.days + excluded.days WHERE NOT c.days && excluded.days;
    GET DIAGNOSTICS v_done = ROW_COUNT;
    IF v_done <> cardinality(p_license) THEN
        RAISE exclusion_violation USING MESSAGE = 'coverage: a day of a stream would be covered twice';
    END IF;
END $$;

-- Takes days back, each stream once in a call. Refuses days that are not covered.
CREATE OR REPLACE FUNCTION uncover(p_bucket smallint[], p_license uuid[], p_component text[], p_payer uuid[],
    p_currency text[], p_occurrence text[], p_start date[], p_end date[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_done bigint;
BEGIN
    UPDATE coverage c SET days = c.days - datemultirange(daterange(s, e))
      FROM unnest(p_bucket, p_license, p_component, p_payer, p_currency, p_occurrence, p_start, p_end)
        AS n(b, l, m, p, y, o, s, e)
     WHERE (c.bucket, c.license, c.component, c.payer, c.currency, c.occurrence) = (b, l, m, p, y, o)
       AND c.days @> daterange(s, e);
    GET DIAGNOSTICS v_done = ROW_COUNT;
    IF v_done <> cardinality(p_license) THEN
        RAISE exclusion_violation USING MESSAGE = 'coverage: a day would be taken back that is not covered';
    END IF;
END $$;
