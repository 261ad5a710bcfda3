-- The trace that a run belongs to, handed on with each of its messages.

alter table runs add column traceparent text;
