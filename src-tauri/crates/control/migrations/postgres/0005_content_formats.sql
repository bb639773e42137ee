-- Which formats of a bundle each device reads, as it said last (a JSON list): nothing is published that it could not follow.
ALTER TABLE devices ADD COLUMN content_formats TEXT NOT NULL DEFAULT '[1]';
