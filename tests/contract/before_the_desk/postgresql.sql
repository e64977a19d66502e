--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: audit_only_grows(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_only_grows() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit trail only grows'; END $$;


--
-- Name: audit_only_old(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_only_old() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF OLD.seq > coalesce((SELECT seq FROM audit_anchors WHERE chain = OLD.chain), 0) THEN RAISE EXCEPTION 'the audit trail only grows'; END IF; RETURN OLD; END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: audit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit (
    chain character varying(40) NOT NULL,
    seq bigint NOT NULL,
    at character varying(27) NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL,
    call text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    previous character varying(64) NOT NULL,
    hash character varying(64) NOT NULL,
    once text,
    signature character varying(100)
);


--
-- Name: audit_anchors; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_anchors (
    chain character varying(40) NOT NULL,
    seq bigint NOT NULL,
    hash character varying(64) NOT NULL,
    row_signature character varying(100) NOT NULL,
    at character varying(27) NOT NULL,
    signature character varying(100) NOT NULL
);


--
-- Name: audit_heads; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_heads (
    chain character varying(40) NOT NULL,
    seq bigint NOT NULL,
    hash character varying(64) NOT NULL,
    at character varying(27) NOT NULL,
    seen text NOT NULL,
    signature character varying(100) NOT NULL
);


--
-- Name: customers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.customers (
    ref character varying(16) NOT NULL,
    number_index character varying(64) NOT NULL,
    key_id character varying(8) NOT NULL,
    wrapped bytea NOT NULL,
    number bytea NOT NULL,
    name bytea NOT NULL,
    pin bytea,
    language character varying(2),
    policy character varying(40),
    locked boolean NOT NULL
);


--
-- Name: keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.keys (
    kind character varying(16) NOT NULL,
    id character varying(8) NOT NULL,
    checks character varying(32) NOT NULL
);


--
-- Name: phones; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.phones (
    customer character varying(16) NOT NULL,
    "position" integer NOT NULL,
    phone_index character varying(64) NOT NULL,
    phone bytea NOT NULL
);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES ('0004');


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit VALUES ('cli', 1, '2026-11-23T05:43:12.561792Z', 'cli:root', 'init', 'done', '', '', '{"audit_key":"897bc989","from":"","hash_key":"17023c00","keys_made":"","master_key":"7e2ff8ae","to":"0004"}', '0000000000000000000000000000000000000000000000000000000000000000', 'eab8de1edb2d4ea3bf3e95a11cdf1a7fa0f6ee9b86d644612a7d9238c2600e36', NULL, '897bc989:fjO9fahNk1JWbamkD6SlKWH5FsfYFujA9TGuOi1juWbJOkMGUpTOlzWTS24Tuk2yXE1kSTtTg69/DFOLEQlYCA==');
INSERT INTO public.audit VALUES ('cli', 2, '2026-11-23T05:43:13.512224Z', 'cli:root', 'customer.add', 'done', '', 'jt7z2rnxdlkw', '{"pin":"set"}', '47076a74b3994659495b68142f821a3a794fa5ecaf44fcff0954d9e0a282fdea', '80a05425eef8d0830da71c45ff4922036778fa9138fac15669fc3938ce2db4cc', NULL, '897bc989:eRVFon5IY1jbYw0vg7j3gwcwNkA9bO52G1jc2kyZAopUB5n1so8vhdOgQgj1c6dP6x62oVlZ7hw6CocllJmYAQ==');
INSERT INTO public.audit VALUES ('cli', 3, '2026-11-23T05:43:14.845248Z', 'cli:root', 'customer.add', 'done', '', 'xflpxb5jxg5k', '{"pin":"none"}', '9c191744977d3b7be8bc514f1deda0c08f7a17dd16410019b0e18bb20414207b', '05c6bfee5652163746837a77fedfcc70d754b425dd124cc582d606c6d8fe9548', NULL, '897bc989:FhQnwjZfpI0Li2a3iKBn8EpBJr99XVrsWNqTwHW8e029zkLkMiFY9a8YlQHmZtlATRGqD9CSgUXSl3LmqpZkCw==');
INSERT INTO public.audit VALUES ('cli', 4, '2026-11-23T05:43:16.119744Z', 'cli:root', 'customer.lock', 'done', '', 'xflpxb5jxg5k', '{}', '9e5f49c9217b245fb3a09811daf399e3693052cd47efd4eb8a823e235c64156b', 'ba30048ce15ba3a890589867d27cff4346f79dd532489de7c8710fedbd5ad683', NULL, '897bc989:t0ZUW3QTAd9pFKoLkDMtVAi9PK8QvvgNdtwpE2hAZllIgCbuoZBChqHbE0cAT2FteqLnS6h7IBGJGQsskMd3Bg==');
INSERT INTO public.audit VALUES ('cli', 5, '2026-11-23T05:43:17.141148Z', 'cli:root', 'customer.show', 'done', '', 'jt7z2rnxdlkw', '{}', 'f410aa8fefc7cc5300d1122af678bb3ba08fcc05b2a16e4a1efd0b62a91ded8d', '1d9b76fff112ded93f3f7c12e4d04bbb925e496753de3031349e5bf16b848fe8', NULL, '897bc989:EfJBD+mfzSTShPo62lX+apwGot1XVtWmc1vHY6rUx9EcPBklb6n5HxoSMjYiEWYL85SeXroehdMcuDDn0e/7Cg==');


--
-- Data for Name: audit_anchors; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: audit_heads; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_heads VALUES ('cli', 5, '1d9b76fff112ded93f3f7c12e4d04bbb925e496753de3031349e5bf16b848fe8', '2026-11-23T05:43:17.141148Z', '{}', '897bc989:KHqkAy4Mcen6oEKiF51jhd7osZ1slQt3+eHDPhYRjU3rq+A+8FbLrFMFyF2zblZx6Uz+0S6SiHtoTigqe4UVAQ==');


--
-- Data for Name: customers; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.customers VALUES ('jt7z2rnxdlkw', 'c8c77fc6c4f5d3ba3a4908dac11d366093229ad36308932f53414bb1f95b448b', '7e2ff8ae', '\x01b3f2f926e5e23e28e29ec0dd13af151abb57d6412866c39084345bed9c53fc2412f1b28b084040932291de7d75b13d23a59ea1f0385da70950008338', '\x01bef6a1b39596387b0cbd4b7891bd172fc1c443fd5cf2b2d4eaad6a0ebc86c9731c', '\x01051f7c5af3b4d8d816bc205b63be59f58a05224b605de3f1ccf2bf09cc7df14f8ec37c933a8250e725ce', '\x01b260f4858091356ba88ac13133451c07a8fdc679a7982ff3775fb19c4909262392758964878c6983ffca3bd3136224400e51b67d73638a03dcbffb34a4182606f8657cb2b4b81d73a41799036d12a7f2', 'sv', NULL, false);
INSERT INTO public.customers VALUES ('xflpxb5jxg5k', '9e76fce9705d31b97f3cfa9bf865d3f75d718e53a0d9a40917489f1ee3c81bf2', '7e2ff8ae', '\x01286730801fd62e78ce153a2732388089f0bf0ddd3857ce6ac636755a906d91badf747fe17a5560b88bf276393fe9205b05db3fb59ab233c2de58fcec', '\x015939ed4cc65c304bf5fab567dcfb6074ca91e6409ae06e8153aed4cbb2a2dbd251', '\x013d80dcf94908044661207f59c6a6be227db6af84c4b870e3f33720b8012be692443ea9', NULL, NULL, NULL, true);


--
-- Data for Name: keys; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.keys VALUES ('hash', '17023c00', 'a9e32d2b25a0fe6159bec8ce0d918c15');
INSERT INTO public.keys VALUES ('master', '7e2ff8ae', 'b8710fee497c241fc4a1f40664eaaf02');


--
-- Data for Name: phones; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.phones VALUES ('jt7z2rnxdlkw', 0, 'cd9ab7f1ef08feddc9181d6b345288bca939fc8e4c7ee2c4c77693a1b58c6a52', '\x01d4b16ff2aafb0bb3709b86226162417bbca4082ab833edd5da85bb999e223f1efbbca0ccf0434869');
INSERT INTO public.phones VALUES ('xflpxb5jxg5k', 0, '04f72a7044d2a5b2e8f2c5a726fc3b62753a3ea439d1278a1e66d8353051ffb2', '\x01e75e745e849a1ab1d3ae55d2346106fc1242397042c18b90da7461de130d8b919f2a3139fc640eb3');


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: audit_anchors audit_anchors_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_anchors
    ADD CONSTRAINT audit_anchors_pkey PRIMARY KEY (chain);


--
-- Name: audit_heads audit_heads_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_heads
    ADD CONSTRAINT audit_heads_pkey PRIMARY KEY (chain);


--
-- Name: audit audit_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (chain, seq);


--
-- Name: customers customers_number_index_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.customers
    ADD CONSTRAINT customers_number_index_key UNIQUE (number_index);


--
-- Name: customers customers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (ref);


--
-- Name: keys keys_by_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_by_id PRIMARY KEY (kind, id);


--
-- Name: phones phones_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.phones
    ADD CONSTRAINT phones_pkey PRIMARY KEY (customer, "position");


--
-- Name: audit_once; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX audit_once ON public.audit USING btree (once);


--
-- Name: ix_audit_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_at ON public.audit USING btree (at);


--
-- Name: ix_audit_call; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_call ON public.audit USING btree (call);


--
-- Name: ix_audit_subject; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_subject ON public.audit USING btree (subject);


--
-- Name: ix_phones_phone_index; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_phones_phone_index ON public.phones USING btree (phone_index);


--
-- Name: audit_anchors audit_anchors_go_on; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_anchors_go_on BEFORE UPDATE ON public.audit_anchors FOR EACH ROW WHEN (((new.seq < old.seq) OR ((new.chain)::text <> (old.chain)::text))) EXECUTE FUNCTION public.audit_only_grows();


--
-- Name: audit_anchors audit_anchors_stay; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_anchors_stay BEFORE DELETE OR TRUNCATE ON public.audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION public.audit_only_grows();


--
-- Name: audit_heads audit_heads_stay; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_heads_stay BEFORE DELETE OR TRUNCATE ON public.audit_heads FOR EACH STATEMENT EXECUTE FUNCTION public.audit_only_grows();


--
-- Name: audit audit_only_grows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_only_grows BEFORE UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.audit_only_grows();


--
-- Name: audit audit_only_old; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_only_old BEFORE DELETE ON public.audit FOR EACH ROW EXECUTE FUNCTION public.audit_only_old();


--
-- Name: phones phones_customer_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.phones
    ADD CONSTRAINT phones_customer_fkey FOREIGN KEY (customer) REFERENCES public.customers(ref) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--


