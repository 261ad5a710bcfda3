-- The three queues, each with its dead-letter queue, and a wake-up for their readers.

create function queue_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('triptych_queues', substring(tg_table_name from 3));
    return null;
end
$$;

do $$
declare
    queue text;
begin
    foreach queue in array array['brand-gather-queue', 'url-process-queue', 'brand-ai-phase-queue']
    loop
        perform pgmq.create(queue);
        perform pgmq.create(queue || '-dlq');
    end loop;
    -- A statement trigger, not pgmq's own: that one updates one row for each message, and senders
    -- would queue on it. This one also sees what a stranger inserts.
    for queue in select queue_name from pgmq.meta loop
        execute format(
            'create trigger triptych_wake after insert on pgmq.%I
             for each statement execute function queue_notify()', 'q_' || queue);
    end loop;
end
$$;
