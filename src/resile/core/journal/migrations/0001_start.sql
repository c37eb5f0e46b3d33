-- One segment of the chain. Every column of an event but `hash` is hashed (chain.py).
create table event (
    seq integer primary key,
    id text not null,
    at integer not null,            -- microseconds since 1970, UTC
    kind text not null,
    subject text not null,
    actor text not null,
    correlation_id text not null,
    version integer not null,
    body blob not null,             -- canonical JSON
    previous_hash blob not null,
    hash blob not null
);
create index event_id on event (id);
create index event_at on event (at);
create index event_kind on event (kind);
create index event_subject on event (subject);
create index event_story on event (correlation_id) where correlation_id != '';

-- Exactly one row: 1 means that the chain goes on in the next segment.
create table segment (is_sealed integer not null check (is_sealed in (0, 1)));
insert into segment values (0);

create trigger event_is_final before update on event
begin select raise(abort, 'the journal is append-only'); end;
create trigger event_stays before delete on event
begin select raise(abort, 'the journal is append-only'); end;
create trigger segment_is_closed before insert on event when (select is_sealed from segment)
begin select raise(abort, 'the segment is sealed'); end;
