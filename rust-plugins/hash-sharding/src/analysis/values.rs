//! Key values in the text of a statement: literals, parameters and casts of them, made into sources. Knows expressions, not
//! where they stand. What PostgreSQL would convert by rules that change the value is of no use as a key.

use super::scope::Item;
use crate::array::each_in_text;
use crate::hash::NULL_ROW_HASH;
use crate::key::{Family, KeyType, hash_text};
use crate::source::{Failure, Null, Parameter, Source};
use crate::tree::{self, tagged};
use parse_tree::{Constant, Fields, constant};
use serde_json::Value;

/// Why an expression is no key.
#[derive(Debug)]
pub(super) enum Unusable {
    /// A clause for a person: "its value is an expression".
    Because(String),
    /// PostgreSQL would refuse it as well.
    Wrong(Failure),
}

impl From<Failure> for Unusable {
    fn from(failure: Failure) -> Self {
        Self::Wrong(failure)
    }
}

impl From<&str> for Unusable {
    fn from(reason: &str) -> Self {
        Self::Because(reason.to_owned())
    }
}

impl From<String> for Unusable {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

/// For what a value is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) key: KeyType,
    /// Written to the column, not compared with it: collations do not matter then.
    pub(super) stored: bool,
    pub(super) null: Null,
    /// False inside PREPARE, whose parameters come with EXECUTE.
    pub(super) parameters: bool,
    pub(super) server_is_utf8: bool,
}

#[derive(Debug)]
pub(super) struct Cast<'a> {
    name: &'a str,
    array: bool,
    /// `varchar(3)`: it may cut.
    modified: bool,
}

fn cast_of(type_name: Fields<'_>) -> Option<Cast<'_>> {
    let name = match *tree::names(type_name, "names")? {
        [name] | ["pg_catalog", name] => name,
        _ => return None,
    };
    let element = name.strip_prefix('_');
    Some(Cast {
        name: element.unwrap_or(name),
        array: element.is_some() || !type_name.list("arrayBounds").is_empty(),
        modified: !type_name.list("typmods").is_empty() || type_name.flag("setof") || type_name.flag("pct_type"),
    })
}

impl Cast<'_> {
    fn is_text(&self) -> bool {
        matches!(self.name, "text" | "varchar")
    }

    /// Whether every value of the family that passes through it stays equal to itself.
    fn keeps(&self, family: Family) -> bool {
        let fits = match family {
            Family::Integer => matches!(self.name, "int2" | "int4" | "int8"),
            Family::Uuid => self.name == "uuid",
            Family::Text => self.is_text(),
            Family::Bytea => self.name == "bytea",
        };
        fits && !self.modified
    }

    /// The same of a value on its way to the family, which may be text first.
    fn leads_to(&self, family: Family) -> bool {
        self.keeps(family) || (self.is_text() && !self.modified && matches!(family, Family::Integer | Family::Uuid))
    }
}

/// An expression without the casts around it, outermost first. None when there is a cast to a type with a name that is not
/// PostgreSQL's own, or a collation that may take different texts for equal.
pub(super) fn peel(expression: &Value, any_collation: bool) -> Option<(&Value, Vec<Cast<'_>>)> {
    let mut casts = Vec::new();
    let mut inner = expression;
    loop {
        match tagged(inner) {
            Some(("TypeCast", cast)) => {
                casts.push(cast_of(cast.bare("typeName")?)?);
                inner = cast.get("arg")?;
            }
            Some(("CollateClause", collate)) => {
                let plain = matches!(
                    *tree::names(collate, "collname")?,
                    ["C" | "POSIX" | "ucs_basic" | "default"] | ["pg_catalog", "C" | "POSIX" | "ucs_basic" | "default"]
                );
                if !plain && !any_collation {
                    return None;
                }
                inner = collate.get("arg")?;
            }
            _ => return Some((inner, casts)),
        }
    }
}

/// Whether casts around a key column leave its equality alone: `id::bigint`.
pub(super) fn keep_equality(casts: &[Cast<'_>], family: Family) -> bool {
    casts.iter().all(|cast| cast.keeps(family) && !cast.array)
}

impl Wanted {
    fn hash(&self, value: &str) -> Result<Source, Unusable> {
        let family = self.key.family();
        if matches!(family, Family::Text | Family::Bytea) && !value.is_ascii() && !self.server_is_utf8 {
            // The parse tree is UTF-8, whatever the client sent.
            return Err(Failure::Encoding.into());
        }
        let hash = hash_text(self.key, value.as_bytes()).map_err(Failure::from)?;
        Ok(Source::Hash(hash))
    }

    fn parameter(&self, reference: Fields<'_>, textual: bool) -> Result<Parameter, Unusable> {
        let index =
            u32::try_from(reference.number("number") - 1).map_err(|_| "its value is no parameter that can be")?;
        if !self.parameters {
            return Err("its value is a parameter of PREPARE, which only EXECUTE gives".into());
        }
        Ok(Parameter { index, key: self.key, textual, null: self.null })
    }

    fn null(&self) -> Result<Option<Source>, Unusable> {
        match self.null {
            Null::MatchesNothing => Ok(None),
            Null::IsAKey => Ok(Some(Source::Hash(NULL_ROW_HASH))),
            Null::Refused => Err("it is compared with NULL".into()),
        }
    }

    /// One value. None when no row can have it.
    pub(super) fn one(&self, expression: &Value) -> Result<Option<Source>, Unusable> {
        let family = self.key.family();
        let (inner, casts) =
            peel(expression, self.stored).ok_or("its value has a cast or collation that is not understood")?;
        if casts.iter().any(|cast| cast.array || !cast.leads_to(family)) {
            return Err(format!("its value is cast to another type than {}", self.key).into());
        }
        match tagged(inner) {
            Some(("A_Const", _)) => self.constant(inner),
            Some(("ParamRef", reference)) => {
                let textual = casts.last().is_some_and(Cast::is_text);
                self.parameter(reference, textual).map(|parameter| Some(Source::Parameter(parameter)))
            }
            Some(("A_Expr", expression)) => match plus(expression) {
                Some(constant) => self.constant(constant),
                None => Err("its value is an expression".into()),
            },
            Some(("SetToDefault", _)) => Err("its value is DEFAULT, which the server makes up".into()),
            Some(("FuncCall", _)) => Err("its value is a function call, which only the server can make".into()),
            _ => Err("its value is an expression".into()),
        }
    }

    fn constant(&self, literal: &Value) -> Result<Option<Source>, Unusable> {
        let integer = self.key.family() == Family::Integer;
        match constant(literal) {
            Some(Constant::Null) => self.null(),
            Some(Constant::Text(value)) => self.hash(value).map(Some),
            Some(Constant::Integer(number)) if integer => self.hash(&number.to_string()).map(Some),
            // Integers too large for four bytes come this way, and so do those that are too large for eight, and fractions.
            Some(Constant::Number(value)) if integer => {
                self.hash(value).map(Some).map_err(|_| "its value is a number that is no bigint".into())
            }
            _ => Err(format!("its value is a literal of another type than {}", self.key).into()),
        }
    }

    /// All elements of an array: `= ANY(…)`.
    pub(super) fn elements(&self, expression: &Value) -> Result<Vec<Source>, Unusable> {
        let family = self.key.family();
        let (inner, casts) =
            peel(expression, self.stored).ok_or("its values have a cast or collation that is not understood")?;
        if casts.iter().any(|cast| !cast.array || !cast.leads_to(family)) {
            return Err(format!("its values are cast to another type than {}[]", self.key).into());
        }
        match tagged(inner) {
            Some(("A_ArrayExpr", array)) => {
                let elements = array.list("elements").iter();
                Ok(elements
                    .map(|element| self.one(element))
                    .collect::<Result<Vec<_>, _>>()?
                    .into_iter()
                    .flatten()
                    .collect())
            }
            Some(("A_Const", _)) => {
                let literal = match constant(inner) {
                    Some(Constant::Text(literal)) => literal,
                    Some(Constant::Null) => return Ok(Vec::new()),
                    _ => return Err("its values are no array".into()),
                };
                let mut sources = Vec::new();
                each_in_text::<Literal>(literal.as_bytes(), |element| {
                    let source = match element {
                        None => self.null(),
                        Some(bytes) => self.hash(std::str::from_utf8(bytes).unwrap_or("\u{fffd}")).map(Some),
                    };
                    sources.extend(source.map_err(Literal)?);
                    Ok(())
                })
                .map_err(|Literal(unusable)| unusable)?;
                Ok(sources)
            }
            Some(("ParamRef", reference)) => {
                let textual = casts.last().is_some_and(Cast::is_text);
                Ok(vec![Source::Array(self.parameter(reference, textual)?)])
            }
            _ => Err("its values are an array that only the server can make".into()),
        }
    }

    pub(super) fn all(&self, items: &[Item<'_>]) -> Result<Vec<Source>, Unusable> {
        let mut sources = Vec::with_capacity(items.len());
        for item in items {
            if item.elements {
                sources.extend(self.elements(item.expression)?);
            } else {
                sources.extend(self.one(item.expression)?);
            }
        }
        Ok(sources)
    }
}

struct Literal(Unusable);

impl From<crate::key::Malformed> for Literal {
    fn from(malformed: crate::key::Malformed) -> Self {
        Self(Failure::from(malformed).into())
    }
}

/// The number of `+5`. The grammar folds a minus into the number itself, a plus it leaves.
fn plus(expression: Fields<'_>) -> Option<&Value> {
    let is_plus =
        expression.text("kind") == "AEXPR_OP" && tree::is_builtin(expression, "name", "+") && !expression.has("lexpr");
    let operand = expression.get("rexpr").filter(|_| is_plus)?;
    matches!(constant(operand), Some(Constant::Integer(_) | Constant::Number(_))).then_some(operand)
}

/// Two integer literals that differ: `1 = 0`, which people write for "no rows".
pub(super) fn are_different_integers(a: &Value, b: &Value) -> bool {
    matches!((constant(a), constant(b)), (Some(Constant::Integer(a)), Some(Constant::Integer(b))) if a != b)
}
