-- Makes oracle.jsonl: what PostgreSQL itself says about texts, one JSON object a line: the type, the text, what
-- PostgreSQL prints for it and its binary form, or neither when PostgreSQL refuses it. Needs PostgreSQL 16 or newer:
--   psql -X -q -A -t -f oracle.sql > oracle.jsonl
-- `refused`: PostgreSQL reads it, the SDK does not, because it depends on the server's settings or on the clock.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET extra_float_digits = 1;
SET bytea_output = 'hex';
SET client_min_messages = 'warning';

CREATE FUNCTION pg_temp.oracle(type text, send text, input text, refused boolean) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  valid boolean;
  printed text;
  sent text;
BEGIN
  -- As a literal: pg_input_is_valid keeps the type of its first call when it comes from a variable.
  EXECUTE format('SELECT pg_input_is_valid($1, %L)', type) INTO valid USING input;
  IF NOT valid THEN
    RETURN json_build_object('type', type, 'input', input);
  END IF;
  EXECUTE format('SELECT ($1::%s)::text, encode(%s($1::%s), ''hex'')', type, send, type) INTO printed, sent USING input;
  RETURN json_build_object('type', type, 'input', input, 'text', printed, 'binary', sent, 'refused', refused);
END $$;

CREATE FUNCTION pg_temp.ask(type text, send text, inputs text[], refused boolean = false) RETURNS SETOF json
LANGUAGE sql AS $$ SELECT pg_temp.oracle(type, send, input, refused) FROM unnest(inputs) input $$;

SELECT pg_temp.ask(type, send, ARRAY[
  '0', '1', '-1', '+7', '  42  ', E'\t42\n', '007', '-0', '32767', '32768', '-32768', '-32769', '2147483647', '2147483648',
  '-2147483648', '-2147483649', '9223372036854775807', '9223372036854775808', '-9223372036854775808',
  '-9223372036854775809', '99999999999999999999999', '0x1F', '0X1f', '-0x10', '0o17', '0b101', '0b2', '0o8', '0xg', '0x',
  '0x_1', '1_000', '1__000', '_1', '1_', '0x1_F', '1_0_0', '', ' ', '+', '-', '--1', '+-1', '1 2', '1.0', '1.', '1e3', 'one',
  '١', '１', 'NaN', '0x7FFFFFFFFFFFFFFF', '0x8000000000000000', '-0x8000000000000000'
]) FROM (VALUES ('int2', 'int2send'), ('int4', 'int4send'), ('int8', 'int8send')) types (type, send);

SELECT pg_temp.ask('bool', 'boolsend', ARRAY[
  't', 'tr', 'tru', 'true', 'TRUE', ' true ', 'truee', 'f', 'fal', 'false', 'y', 'ye', 'yes', 'n', 'no', 'on', 'ON', 'o', 'of',
  'off', 'offf', '1', '0', '2', '01', '', ' ', 'null'
]);

SELECT pg_temp.ask(type, send, ARRAY[
  '0', '-0', '1', '1.5', '-1.5', '.5', '5.', '+1', '1e10', '1E-10', '1e', 'e5', '1e400', '1e-400', '1e39', '1e-46', '3.4028235e38',
  '1.7976931348623157e308', '4.9e-324', '0e999', 'NaN', 'nan', 'Infinity', '-Infinity', 'inf', '+inf', '-inf', 'infinite', ' 1.5 ',
  '1 5', '', '.', '-', '1_000', '0.1', '0.30000000000000004', '123456789.123456789', '1,5', '1d'
]) FROM (VALUES ('float4', 'float4send'), ('float8', 'float8send')) types (type, send);

SELECT pg_temp.ask('numeric', 'numeric_send', ARRAY[
  '0', '-0', '0.0', '-0.00', '1', '-1', '+1', '007', '1.10', '0.0001', '0.00001', '10000', '99999', '100000000', '12345.6789',
  '-12345.67890', '123456789012345678901234567890.123456789012345678901234567890', '.5', '5.', '.', '', ' 1.5 ', '1 5', '1e5', '1E+5',
  '1e-5', '1.5e3', '1.50e1', '15e-1', '1e', '1e+', 'e1', '0e100', '1e131072', '1e-16384', '9e99999999',
  '1e2147483648', 'NaN', 'nan', '-NaN', 'Infinity', '-Infinity', '+Infinity', 'inf', '-inf', 'infinit', '1_000.000_1', '1__0', '_1', '1_', '1._5',
  '1_.5', '0x1F', '-0x1f', '0o17', '0b11', '0x', '1.2.3', '--1', '1,5', '0.1000', '1000000.0000000', '0.000000000000000000000000000001', '9999.9999',
  '1_0e1_0'
]);

SELECT pg_temp.ask('numeric', 'numeric_send',
  (SELECT array_agg((sign * trunc(value::numeric, scale) * power(10::numeric, exponent))::numeric::text ORDER BY number)
   FROM (SELECT number, (hashint4(number) / 2147483648.0) AS value, CASE WHEN number % 2 = 0 THEN 1 ELSE -1 END AS sign,
                number % 20 AS scale, (number * 7) % 41 - 20 AS exponent FROM generate_series(1, 100) number) numbers));

SELECT pg_temp.ask('uuid', 'uuid_send', ARRAY[
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}',
  'a0eebc999c0b4ef8bb6d6bb9bd380a11', 'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11', '{a0eebc999c0b4ef8bb6d6bb9bd380a11}',
  'a0-eebc999c0b4ef8bb6d6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a112',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}',
  ' a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ', 'a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-', '', '{}', '00000000-0000-0000-0000-000000000000'
]);

SELECT pg_temp.ask('bytea', 'byteasend', ARRAY[
  '\x', '\x00ff', '\xDEADbeef', '\x de ad', '\xde ad be', '\xd ead', '\xdea', '\xzz', '\X00', '', 'abc', 'a\\b', 'a\000b', 'a\377', 'a\400', '\', 'a\', 'a\1',
  'a\12', 'é', ' \x00', E'\\x00\n', E'\\x\t00'
]);

SELECT pg_temp.ask('date', 'date_send', ARRAY[
  '2000-01-01', '1999-12-31', '2024-02-29', '2023-02-29', '2000-02-29', '1900-02-29', '1970-01-01', '0001-01-01', '0001-12-31 BC', '0044-03-15 BC',
  '4714-11-24 BC', '4714-11-23 BC', '5874897-12-31', '5874898-01-01', '10000-01-01', '2024-13-01', '2024-00-10', '2024-01-00', '2024-04-31', '2024-1-5',
  'infinity', '-infinity', 'Infinity', '', '2024', '2024-01', '0000-01-01', '0000-01-01 BC', ' 2024-01-05 ', '2024-01-05 10:30:00', '2024-01-05T10:30:00+02',
  '2024-01-05 25:00', '2024-01-05x', '2024-01-05 bc'
]);
SELECT pg_temp.ask('date', 'date_send', ARRAY['20240105', '01/05/2024', 'Jan 5 2024', '5-Jan-2024', 'J2451545', 'epoch', '2024.005'], true);

SELECT pg_temp.ask('time', 'time_send', ARRAY[
  '00:00', '23:59:59', '24:00:00', '24:00:01', '25:00', '12:60', '12:59:60', '12:59:61', '1:02', '12:30:45.123456', '12:30:45.1234564', '12:30:45.1234566', '12:30:45.9999999',
  '12:30:45.', '12:30:45.5', '04:05:06+02', '', '12', ' 12:30 ', '-12:30', '12:3', '12:30:5'
]);
SELECT pg_temp.ask('time', 'time_send', ARRAY['123045', '10:30 PM', '12:30 am', 'allballs'], true);

SELECT pg_temp.ask(type, send, ARRAY[
  '2000-01-01 00:00:00+00', '2024-02-29 12:30:45.123456+00', '2024-02-29T12:30:45Z', '2024-02-29 12:30:45+02', '2024-02-29 12:30:45-07:30', '2024-02-29 12:30:45+0530',
  '2024-02-29 12:30:45+05:30:15', '2024-02-29 12:30:45 +02', '2024-02-29 12:30:45 UTC', '2024-02-29 12:30:45+16', '2024-02-29 12:30:45+15:59:59', '0044-03-15 12:00:00+00 BC',
  '4714-11-24 00:00:00+00 BC', '4714-11-23 23:59:59+00 BC', '294276-12-31 23:59:59.999999+00', '294277-01-01 00:00:00+00', '1999-12-31 23:59:59.999999+00', '2024-02-29 24:00:00+00',
  '2024-02-29 23:59:60+00', 'infinity', '-infinity', '2024-02-30 00:00:00+00', '2024-02-29 12:60:00+00', '', 'x', '2024-02-29 12:30:45+', '2024-02-29 12:30:45.9999999+00', '2024-02-29 12:30Z'
]) FROM (VALUES ('timestamp', 'timestamp_send'), ('timestamptz', 'timestamptz_send')) types (type, send);
SELECT pg_temp.ask('timestamp', 'timestamp_send', ARRAY['2024-02-29', '2024-02-29 12:30', '2024-02-29 12:30:45', '2024-02-29T12:30:45', '0044-03-15 12:00:00 BC']);
SELECT pg_temp.ask('timestamptz', 'timestamptz_send', ARRAY['2024-02-29', '2024-02-29 12:30:45', '2024-02-29 12:30:45 America/New_York', '20240229T123045Z', 'epoch'], true);

SELECT pg_temp.ask('int4[]', 'array_send', ARRAY[
  '{}', '{1}', '{1,2,3}', '{ 1 , 2 }', ' {1} ', '{1,NULL,3}', '{null}', '{{1,2},{3,4}}', '{{1,2},{3}}', '{{1},2}', '{1,{2}}', '[0:2]={1,2,3}', '[0:1]={1,2,3}', '[-1:0][2:3]={{1,2},{3,4}}',
  '[1:2]{1,2}', '{1,2', '1,2}', '{1,,2}', '{,1}', '{1,}', '{}}', '{{}}', '{{},{}}', '{"1","2"}', '{"1"2}', '{1"2"}', '{a}', '{2147483648}', '', '{1}x', '{{{{{{1}}}}}}', '{{{{{{{1}}}}}}}', '[2]={1,2}', '[1:0]={}', '{\1}'
]);
SELECT pg_temp.ask('text[]', 'array_send', ARRAY[
  '{}', '{a,b}', '{"a b","c,d"}', '{"a\"b","c\\d"}', '{a\"b}', '{a b , c }', '{NULL,"NULL",null,\NULL}', '{""}', '{"",a}', '{"{}"}', '{é,"ü"}', '{"a}', '{a\}', '{"a"  ,  "b"}', '{a"b"}', '{a{b}',
  '{\,}', '{ "a" }', '{{a,b},{c,d}}', '{  }', '{" "}', '{a\ }', '{ \ a}', '{\"}', '{ab\ c\  }'
]);
SELECT pg_temp.ask('numeric[]', 'array_send', ARRAY['{1.50,NaN,NULL,-0.001}', '{x}']);
SELECT pg_temp.ask('uuid[]', 'array_send', ARRAY['{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}']);
SELECT pg_temp.ask('bytea[]', 'array_send', ARRAY['{"\\x00ff",NULL,abc}']);
SELECT pg_temp.ask('timestamptz[]', 'array_send', ARRAY['{"2024-02-29 12:30:45+00",infinity}']);
SELECT pg_temp.ask('bool[]', 'array_send', ARRAY['{t,f,NULL}']);
SELECT pg_temp.ask('float8[]', 'array_send', ARRAY['{1.5,NaN,-Infinity}']);
