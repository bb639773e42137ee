//! What a statement of PostgreSQL reaches, by its text: its kinds, and every schema, table and function that it names.
//!
//! Nothing is guessed. A table without its schema lies where the session says, a function may run SQL that it is handed as a text, and
//! `DO`, `EXECUTE`, `SET` or `COPY` from a program do what their text does not show: all that is unknown, and so is whatever is not
//! understood. Views, row security and a function of the database's own that somebody put a namesake beside are the database's to guard.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what the parser knows beyond what is known here is refused"
)]

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    ColumnOption, CopySource, CopyTarget, CreateTable, Expr, FromTable, Ident, ObjectName, ObjectNamePart,
    ObjectType, OnConflictAction, OnInsert, Query, SetExpr, Statement, TableFactor, TableObject,
    TableWithJoins, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;

use super::functions::is_harmless;
use super::lexed::{Piece, agree, pieces};
use super::unknown::Unknown;

/// The longest statement that is read, in bytes.
const LENGTH_LIMIT: usize = 32 * 1024;
/// How deep the parser descends.
const DEPTH_LIMIT: usize = 50;

/// What a statement can do, as policies write it.
pub(super) const KINDS: [&str; 9] =
    ["copy", "ddl", "delete", "explain", "insert", "lock", "merge", "select", "update"];

/// What a statement reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reach {
    /// Some of [`KINDS`].
    pub(super) kinds: BTreeSet<String>,
    /// As `schema.table`; names without quotes in lower case, others as they are.
    pub(super) tables: BTreeSet<String>,
    pub(super) schemas: BTreeSet<String>,
    /// The database's own by their name alone, others as `schema.function`.
    pub(super) functions: BTreeSet<String>,
}

/// Reads one statement. `own` are functions that may be called beside those that are harmless, as `schema.function`.
pub(super) fn read(text: &str, own: &BTreeSet<String>) -> Result<Reach, Unknown> {
    if text.len() > LENGTH_LIMIT {
        return Err(Unknown::TooLong);
    }
    let pieces = pieces(text)?;
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .tokenize_with_location()
        .map_err(|_| Unknown::NotUnderstood)?;
    if !agree(&pieces, tokens.iter().map(|token| &token.token)) {
        return Err(Unknown::Spelling);
    }
    let statements = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(DEPTH_LIMIT)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|_| Unknown::NotUnderstood)?;
    let statement = match statements.as_slice() {
        [] => return Err(Unknown::NoStatement),
        [statement] => statement,
        [_, ..] => return Err(Unknown::Several),
    };
    let mut walk = Walk { own, found: Reach::default(), scopes: Vec::new(), called: None, whole_tables: 0 };
    if let ControlFlow::Break(why) = statement.visit(&mut walk) {
        return Err(*why);
    }
    walk.finish(&pieces)
}

type Flow = ControlFlow<Box<Unknown>>;

fn go_on(result: Result<(), Unknown>) -> Flow {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(why) => ControlFlow::Break(Box::new(why)),
    }
}

/// A walk through a statement, in the order of its text.
struct Walk<'a> {
    own: &'a BTreeSet<String>,
    found: Reach,
    /// The queries around the place, each with the names that it gives to others (`WITH`).
    scopes: Vec<Scope>,
    /// The name that is a function's, not a table's, and comes next.
    called: Option<*const ObjectName>,
    /// How often `TABLE x` stands for `SELECT * FROM x`.
    whole_tables: usize,
}

/// The names of a `WITH`, in their order. Each is there for the queries after it, and for all of them where it is recursive.
struct Scope {
    recursive: bool,
    names: Vec<(*const Query, String)>,
    /// So many of the names are there at the place.
    visible: usize,
}

impl Scope {
    fn of(query: &Query) -> Self {
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let names: Vec<_> =
            tables.map(|cte| (std::ptr::from_ref(cte.query.as_ref()), folded(&cte.alias.name))).collect();
        let visible = if recursive { names.len() } else { 0 };
        Self { recursive, names, visible }
    }

    fn place_of(&self, query: &Query) -> Option<usize> {
        self.names.iter().position(|(own, _)| std::ptr::eq(*own, query))
    }
}

impl Visitor for Walk<'_> {
    type Break = Box<Unknown>;

    fn pre_visit_statement(&mut self, statement: &Statement) -> Flow {
        go_on(self.statement(statement))
    }

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        self.scopes.push(Scope::of(query));
        if !query.locks.is_empty() {
            self.kind("lock");
        }
        if !query.pipe_operators.is_empty() {
            return go_on(Err(Unknown::NotUnderstood));
        }
        go_on(self.body(&query.body))
    }

    fn post_visit_query(&mut self, query: &Query) -> Flow {
        self.scopes.pop();
        if let Some(around) = self.scopes.last_mut()
            && let Some(place) = around.place_of(query)
            && !around.recursive
        {
            around.visible = place + 1;
        }
        go_on(Ok(()))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        go_on(match factor {
            TableFactor::Table { name, args: Some(_), .. } => {
                self.called = Some(name);
                self.function(name)
            }
            TableFactor::Function { name, .. } => self.function(name),
            TableFactor::Table { version: None, json_path: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::NestedJoin { .. } => Ok(()),
            _ => Err(Unknown::NoTable),
        })
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> Flow {
        if self.called.take_if(|called| std::ptr::eq(*called, name)).is_some() {
            return go_on(Ok(()));
        }
        go_on(self.relation(name))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        go_on(match expr {
            Expr::Function(function) => self.function(&function.name),
            _ => Ok(()),
        })
    }
}

impl Walk<'_> {
    fn kind(&mut self, kind: &str) {
        self.found.kinds.insert(kind.to_owned());
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Unknown> {
        match statement {
            Statement::Query(_) => {}
            Statement::Insert(insert) => {
                self.kind("insert");
                if let Some(OnInsert::OnConflict(conflict)) = &insert.on
                    && matches!(conflict.action, OnConflictAction::DoUpdate(_))
                {
                    self.kind("update");
                }
                let TableObject::TableName(name) = &insert.table else { return Err(Unknown::NoTable) };
                self.table(name)?;
            }
            Statement::Update(update) => {
                self.kind("update");
                self.changed(&update.table)?;
            }
            Statement::Delete(delete) => {
                self.kind("delete");
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
                if !delete.tables.is_empty() {
                    return Err(Unknown::NotUnderstood);
                }
                from.iter().try_for_each(|table| self.changed(table))?;
            }
            Statement::Merge(merge) => {
                ["delete", "insert", "merge", "update"].into_iter().for_each(|kind| self.kind(kind));
                self.target(&merge.table)?;
            }
            // What it explains is judged as if it were executed: with ANALYZE it is.
            Statement::Explain { .. } => self.kind("explain"),
            Statement::Copy { source, to: true, target: CopyTarget::Stdout, .. } => {
                self.kind("copy");
                if let CopySource::Table { table_name, .. } = source {
                    self.table(table_name)?;
                }
            }
            Statement::CreateTable(create) => {
                self.kind("ddl");
                self.create_table(create)?;
            }
            Statement::CreateView(create) if create.to.is_none() => {
                self.kind("ddl");
                self.table(&create.name)?;
            }
            Statement::Truncate(_) => self.kind("ddl"),
            Statement::Drop {
                object_type: ObjectType::Table | ObjectType::View | ObjectType::MaterializedView,
                names,
                table: None,
                ..
            } => {
                self.kind("ddl");
                names.iter().try_for_each(|name| self.table(name))?;
            }
            _ => return Err(Unknown::Kind),
        }
        Ok(())
    }

    /// A table that is filled by a query or has plain columns. What refers to other tables is not looked into.
    fn create_table(&mut self, create: &CreateTable) -> Result<(), Unknown> {
        let refers = |option: &ColumnOption| matches!(option, ColumnOption::ForeignKey(_));
        let mut options = create.columns.iter().flat_map(|column| &column.options);
        if options.any(|option| refers(&option.option))
            || !create.constraints.is_empty()
            || create.like.is_some()
            || create.clone.is_some()
            || create.inherits.is_some()
            || create.partition_of.is_some()
        {
            return Err(Unknown::Kind);
        }
        self.table(&create.name)
    }

    /// The table that a statement changes: never the result of a `WITH`, whatever its name.
    fn changed(&mut self, table: &TableWithJoins) -> Result<(), Unknown> {
        self.target(&table.relation)
    }

    fn target(&mut self, factor: &TableFactor) -> Result<(), Unknown> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.table(name),
            _ => Err(Unknown::NoTable),
        }
    }

    /// What of a query is no statement and no table factor of its own.
    fn body(&mut self, body: &SetExpr) -> Result<(), Unknown> {
        match body {
            SetExpr::Select(select) => {
                self.kind("select");
                // It makes a table, like `CREATE TABLE .. AS`, which says so.
                if select.into.is_some() { Err(Unknown::Kind) } else { Ok(()) }
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            SetExpr::Table(table) => {
                self.kind("select");
                self.whole_tables += 1;
                match (&table.schema_name, &table.table_name) {
                    (Some(schema), Some(name)) => self.add(&folded(schema), &folded(name)),
                    (_, _) => Err(Unknown::NoSchema),
                }
            }
            SetExpr::Query(_)
            | SetExpr::Values(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_) => Ok(()),
        }
    }

    /// What is read from: a table, or the result of a `WITH` around it.
    fn relation(&mut self, name: &ObjectName) -> Result<(), Unknown> {
        if let [ObjectNamePart::Identifier(one)] = name.0.as_slice() {
            let one = folded(one);
            let known = |scope: &Scope| scope.names.iter().take(scope.visible).any(|(_, name)| *name == one);
            return if self.scopes.iter().any(known) { Ok(()) } else { Err(Unknown::NoSchema) };
        }
        self.table(name)
    }

    fn table(&mut self, name: &ObjectName) -> Result<(), Unknown> {
        match name.0.as_slice() {
            [ObjectNamePart::Identifier(_)] => Err(Unknown::NoSchema),
            [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)] => {
                self.add(&folded(schema), &folded(table))
            }
            _ => Err(Unknown::Name),
        }
    }

    fn add(&mut self, schema: &str, table: &str) -> Result<(), Unknown> {
        if [schema, table].into_iter().any(|name| name.contains(['.', '"'])) {
            return Err(Unknown::Name);
        }
        self.found.tables.insert(format!("{schema}.{table}"));
        self.found.schemas.insert(schema.to_owned());
        Ok(())
    }

    fn function(&mut self, name: &ObjectName) -> Result<(), Unknown> {
        let found = match name.0.as_slice() {
            // Grammar, no function: what it is made of is looked at by itself.
            [ObjectNamePart::Identifier(function)] if is_word(function, "array") => return Ok(()),
            [ObjectNamePart::Identifier(function)] => (folded(function), function.quote_style.is_none()),
            [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(function)] => {
                match folded(schema).as_str() {
                    "pg_catalog" => (folded(function), function.quote_style.is_none()),
                    schema => (format!("{schema}.{}", folded(function)), false),
                }
            }
            _ => return Err(Unknown::Function("with a longer name".to_owned())),
        };
        let (function, of_database) = found;
        let known = if of_database {
            is_harmless(&function) || self.own.contains(&format!("pg_catalog.{function}"))
        } else {
            self.own.contains(&function)
        };
        if known {
            self.found.functions.insert(function);
            return Ok(());
        }
        let plain = function.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
        Err(Unknown::Function(if plain { function } else { "with an odd name".to_owned() }))
    }

    fn finish(mut self, pieces: &[Piece]) -> Result<Reach, Unknown> {
        let is_table =
            |piece: &&Piece| matches!(piece, Piece::Word(word) if word.eq_ignore_ascii_case("table"));
        // A `TABLE x` that was taken for something else would hide a table.
        if !self.found.kinds.contains("ddl") && pieces.iter().filter(is_table).count() != self.whole_tables {
            return Err(Unknown::NotUnderstood);
        }
        // `OPERATOR(schema.+)` is a function of that schema.
        let operator = |pair: &[Piece]| matches!(pair, [Piece::Word(word), Piece::Mark('(')] if word.eq_ignore_ascii_case("operator"));
        if pieces.windows(2).any(operator) {
            return Err(Unknown::Function("operator".to_owned()));
        }
        if self.found.kinds.is_empty() {
            self.kind("select");
        }
        Ok(self.found)
    }
}

fn is_word(name: &Ident, word: &str) -> bool {
    name.quote_style.is_none() && name.value.eq_ignore_ascii_case(word)
}

/// A name as PostgreSQL keeps it.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests;
