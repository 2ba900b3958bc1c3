//! Queries: WITH, FROM with its joins, and what stands around them.

use super::{Context, MAX_FROM_ITEMS, Reader, table_of};
use crate::kinds::Kind;
use crate::model::{ColumnName, From, Item, Join, JoinKind, Level, Operand, Operation, Outer, Table};
use parse_tree::{Fields, Node, Relation};
use serde_json::Value;
use std::rc::Rc;

/// A SELECT or VALUES that makes rows: set operations have several.
pub(super) struct Leaf<'a> {
    pub(super) fields: Fields<'a>,
    /// Where columns of its target list are from; `None` for VALUES.
    pub(super) inner: Option<Outer>,
}

/// What FROM contains, to be read once all of its items are known.
#[derive(Default)]
pub(super) struct Pending<'a> {
    /// Subqueries and functions with the items that they see: those to the left, when they are lateral.
    pub(super) parts: Vec<(&'a Value, Rc<[usize]>)>,
    /// ON conditions with the items that they see.
    pub(super) conditions: Vec<(&'a Value, Rc<[usize]>)>,
}

/// Where in FROM something stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) level: usize,
    /// FOR UPDATE and the like.
    pub(super) writes: bool,
    /// What LATERAL sees.
    pub(super) left: Rc<[usize]>,
}

impl<'a> Reader<'a> {
    pub(super) fn query(&mut self, fields: Fields<'a>, context: &Context<'a>) -> Vec<Leaf<'a>> {
        let context = &self.with(fields, context);
        self.into(fields);
        let locks = !fields.list("lockingClause").is_empty();
        if locks {
            self.model.kinds.insert(Kind::RowLock);
        }
        if let (Some(left), Some(right)) = (fields.bare("larg"), fields.bare("rarg")) {
            let mut leaves = self.query(left, context);
            leaves.extend(self.query(right, context));
            self.walk_fields(fields, &["withClause", "intoClause", "lockingClause", "larg", "rarg"], context);
            return leaves;
        }
        if fields.has("valuesLists") {
            self.walk_fields(fields, &["withClause", "intoClause", "lockingClause"], context);
            return vec![Leaf { fields, inner: None }];
        }
        let inner = self.level(fields.list("fromClause"), fields.get("whereClause"), None, locks, context);
        let outer = inner.outer.clone();
        self.walk_fields(fields, &["withClause", "intoClause", "lockingClause", "fromClause"], &inner);
        vec![Leaf { fields, inner: outer }]
    }

    /// Reads WITH; its names hold in what is returned. A WITH query sees those before it, with RECURSIVE all of them.
    pub(super) fn with(&mut self, fields: Fields<'a>, context: &Context<'a>) -> Context<'a> {
        let mut context = context.clone();
        let Some(with) = fields.bare("withClause") else { return context };
        let queries: Vec<_> =
            with.nodes("ctes").filter(|node| node.is("CommonTableExpr")).map(|node| node.fields).collect();
        if queries.len() != with.list("ctes").len() {
            self.model.unknown = Some("WITH");
        }
        if context.has_too_many_with_queries(queries.len()) {
            self.model.unknown = Some("so many WITH queries");
            return context;
        }
        let recursive = with.flag("recursive");
        if recursive {
            context = queries.iter().fold(context, |context, query| context.with_query(query.text("ctename")));
        }
        for query in queries {
            match query.node("ctequery") {
                Some(statement) => self.statement(statement, &context),
                None => self.model.unknown = Some("WITH"),
            }
            self.walk_fields(query, &["ctequery"], &context);
            if !recursive {
                context = context.with_query(query.text("ctename"));
            }
        }
        context
    }

    fn into(&mut self, fields: Fields<'a>) {
        let Some(into) = fields.bare("intoClause") else { return };
        self.model.kinds.insert(Kind::SelectInto);
        match into.bare("rel").and_then(Relation::of_fields) {
            Some(relation) => {
                if relation.temporary {
                    self.model.kinds.insert(Kind::CreateTemporary);
                }
                self.uses(table_of(&relation), false, true, Operation::Other);
            }
            None => self.model.unknown = Some("INTO"),
        }
    }

    /// Reads FROM and WHERE. `target` is the table of UPDATE and DELETE, which stands before FROM. What is returned holds
    /// for everything else in the statement.
    pub(super) fn level(
        &mut self,
        from: &'a [Value],
        condition: Option<&'a Value>,
        target: Option<Relation<'a>>,
        writes: bool,
        context: &Context<'a>,
    ) -> Context<'a> {
        let level = self.open_level(context);
        let mut pending = Pending::default();
        if let Some(target) = target {
            self.item(level, table_item(&target));
        }
        if from.len() > MAX_FROM_ITEMS {
            self.model.unknown = Some("so many tables in FROM");
            return context.clone();
        }
        for item in from {
            let place = Place { level, writes, left: self.visible(level) };
            let item = self.from(item, &place, context, &mut pending);
            self.model.levels[level].from.push(item);
        }
        let scope = self.visible(level);
        if let Some(condition) = condition {
            self.conditions(condition, level, &scope, &scope, context);
        }
        self.pending(pending, level, context);
        context.inside(level, scope)
    }

    pub(super) fn open_level(&mut self, context: &Context<'a>) -> usize {
        let outer = context.outer.clone();
        self.model.levels.push(Level { outer, ..Level::default() });
        self.model.levels.len() - 1
    }

    /// Adds an item that stands in FROM by itself.
    pub(super) fn item(&mut self, level: usize, item: Item<'a>) -> usize {
        let index = self.add_item(level, item);
        self.model.levels[level].from.push(From::Item(index));
        index
    }

    fn add_item(&mut self, level: usize, item: Item<'a>) -> usize {
        let items = &mut self.model.levels[level].items;
        items.push(item);
        items.len() - 1
    }

    pub(super) fn visible(&self, level: usize) -> Rc<[usize]> {
        let mut items = Vec::new();
        self.model.levels[level].from.iter().for_each(|from| visible(from, &mut items));
        items.into()
    }

    pub(super) fn pending(&mut self, pending: Pending<'a>, level: usize, context: &Context<'a>) {
        for (part, scope) in pending.parts.into_iter().chain(pending.conditions) {
            self.walk(part, &context.inside(level, scope));
        }
    }

    pub(super) fn from(
        &mut self,
        value: &'a Value,
        place: &Place,
        context: &Context<'a>,
        pending: &mut Pending<'a>,
    ) -> From<'a> {
        let Some(node) = Node::of(value) else { return self.strange_item(value, place, pending) };
        let fields = node.fields;
        match node.kind {
            "RangeVar" => match Relation::of_fields(fields) {
                Some(relation) => self.table_in_from(&relation, place, context),
                None => self.strange_item(value, place, pending),
            },
            "RangeTableSample" => {
                let parts = fields.list("args").iter().chain(fields.get("repeatable"));
                pending.parts.extend(parts.map(|part| (part, Rc::clone(&place.left))));
                match fields.get("relation") {
                    Some(relation) => self.from(relation, place, context, pending),
                    None => self.strange_item(value, place, pending),
                }
            }
            "JoinExpr" => self.join(fields, place, context, pending),
            "RangeSubselect" => {
                let scope = if fields.flag("lateral") { Rc::clone(&place.left) } else { Rc::new([]) };
                match fields.get("subquery") {
                    Some(subquery) => pending.parts.push((subquery, scope)),
                    None => self.model.unknown = Some("FROM"),
                }
                self.derived(fields, place.level)
            }
            "RangeFunction" | "RangeTableFunc" | "JsonTable" => {
                let parts = fields.iter().filter(|(field, _)| *field != "alias");
                pending.parts.extend(parts.map(|(_, part)| (part, Rc::clone(&place.left))));
                self.derived(fields, place.level)
            }
            _ => self.strange_item(value, place, pending),
        }
    }

    /// A subquery or function: only its alias is known.
    fn derived(&mut self, fields: Fields<'a>, level: usize) -> From<'a> {
        let name = fields.bare("alias").map_or("", |alias| alias.text("aliasname"));
        self.model.levels[level].unnamed |= name.is_empty();
        From::Item(self.add_item(level, Item { table: None, name, aliased: true, renames_columns: true }))
    }

    fn strange_item(&mut self, value: &'a Value, place: &Place, pending: &mut Pending<'a>) -> From<'a> {
        self.model.unknown = Some("FROM");
        pending.parts.push((value, Rc::clone(&place.left)));
        From::Item(self.add_item(place.level, Item { table: None, name: "", aliased: false, renames_columns: false }))
    }

    fn table_in_from(&mut self, relation: &Relation<'a>, place: &Place, context: &Context<'a>) -> From<'a> {
        let level = place.level;
        if relation.schema.is_none() && context.is_with_query(relation.name) {
            let item = Item { table: None, ..table_item(relation) };
            return From::Item(self.add_item(level, item));
        }
        let item = self.add_item(level, table_item(relation));
        self.uses(table_of(relation), true, place.writes, Operation::Rows { level, item });
        From::Item(item)
    }

    fn join(
        &mut self,
        fields: Fields<'a>,
        place: &Place,
        context: &Context<'a>,
        pending: &mut Pending<'a>,
    ) -> From<'a> {
        let level = place.level;
        let (Some(left), Some(right)) = (fields.get("larg"), fields.get("rarg")) else {
            self.model.unknown = Some("JOIN");
            return self.derived(fields, level);
        };
        let aliases = [fields.bare("alias"), fields.bare("join_using_alias")].into_iter().flatten();
        self.model.levels[level].join_names.extend(aliases.map(|alias| alias.text("aliasname")));
        let kind = match fields.text("jointype") {
            "JOIN_INNER" => JoinKind::Inner,
            "JOIN_LEFT" => JoinKind::Left,
            "JOIN_RIGHT" => JoinKind::Right,
            "JOIN_FULL" => JoinKind::Full,
            _ => {
                self.model.unknown = Some("JOIN");
                JoinKind::Full
            }
        };
        let left = self.from(left, place, context, pending);
        let (mut on_left, mut on_right) = (Vec::new(), Vec::new());
        visible(&left, &mut on_left);
        let right_place = Place { left: place.left.iter().chain(&on_left).copied().collect(), ..place.clone() };
        let right = self.from(right, &right_place, context, pending);
        visible(&right, &mut on_right);
        let scope: Rc<[usize]> = on_left.iter().chain(&on_right).copied().collect();
        if let Some(condition) = fields.get("quals") {
            let restricts: Rc<[usize]> = match kind {
                JoinKind::Inner => Rc::clone(&scope),
                JoinKind::Left => on_right.into(),
                JoinKind::Right => on_left.into(),
                JoinKind::Full => Rc::new([]),
            };
            self.conditions(condition, level, &scope, &restricts, context);
            pending.conditions.push((condition, scope));
        }
        let strings = fields.nodes("usingClause").filter(|node| node.is("String"));
        From::Join(Box::new(Join {
            kind,
            left,
            right,
            using: strings.map(|node| node.fields.text("sval")).collect(),
            natural: fields.flag("isNatural"),
            aliased: fields.has("alias"),
        }))
    }
}

pub(super) fn table_item<'a>(relation: &Relation<'a>) -> Item<'a> {
    Item {
        table: Some(Table { schema: relation.schema, name: relation.name }),
        name: relation.visible_name(),
        aliased: relation.alias.is_some(),
        renames_columns: relation.renames_columns,
    }
}

/// The items whose columns can be named from outside.
fn visible(from: &From<'_>, items: &mut Vec<usize>) {
    match from {
        From::Item(item) => items.push(*item),
        From::Join(join) if join.aliased => {}
        From::Join(join) => {
            visible(&join.left, items);
            visible(&join.right, items);
        }
    }
}

/// A plain column: `c`, `t.c`, `s.t.c`. A catalog in front of it is dropped.
pub(super) fn column(value: &Value) -> Option<ColumnName<'_>> {
    let fields = Node::of_kind(value, "ColumnRef")?.list("fields");
    let mut parts = Vec::with_capacity(3);
    for part in fields {
        parts.push(Node::of_kind(part, "String")?.text("sval"));
    }
    let name = parts.pop()?;
    let qualifier = parts.pop();
    Some(ColumnName { schema: parts.pop(), qualifier, name })
}

pub(super) fn operand_of_column(value: &Value) -> Option<Operand<'_>> {
    column(value).map(Operand::Column)
}
