//! Sends searches and inserts of vectors (pgvector) to the shard whose centroid is nearest, as an index of the whole would.
//!
//! ```toml
//! [[plugins]]
//! name = "./libexample_vector_routing.so"
//!
//! [plugins.config]
//! table = "items"
//! column = "embedding"
//! distance = "cosine"                     # or "l2"
//!
//! [[plugins.config.centroids]]            # several may share a shard
//! shard = 0
//! vector = [0.12, -0.4, 0.9]
//! ```
//!
//! A search is `… ORDER BY embedding <-> $1`, with any operator of pgvector and the vector as a parameter, in text or binary format, or as
//! a literal; it sees the rows of one shard. An insert lists its columns. An update of the column is refused, since the row might have to
//! move. What names no vector is left to the plugins behind.
#![forbid(unsafe_code)]

mod centroids;
mod operands;

use centroids::{Centroid, Centroids, Distance};
use operands::{Operand, Use};
use pooler_plugin::{
    Error, Format, Host, Input, Output, Plugin, Query, RawValue, Refusal, Route, Vector, plugin,
};

/// What `[plugins.config]` may hold.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    table: String,
    column: String,
    distance: Distance,
    centroids: Vec<Centroid>,
}

/// The plugin.
#[derive(Debug)]
pub struct VectorRouting {
    table: String,
    column: String,
    centroids: Centroids,
}

#[plugin(name = "vector-routing", capabilities = PARSE_TREE | LITERALS)]
impl Plugin for VectorRouting {
    type Config = Config;
    type Statement = Use;

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        let centroids = Centroids::new(config.distance, config.centroids).map_err(Error::new)?;
        Ok(VectorRouting {
            table: config.table,
            column: config.column,
            centroids,
        })
    }

    fn learn(&mut self, query: Query<'_>) -> Result<Use, Error> {
        if !query.tables().any(|table| table.name() == self.table) {
            return Ok(Use::None);
        }
        let tree = query.parse_tree_value()?;
        Ok(tree.map_or(Use::None, |tree| {
            operands::find(&tree["stmts"][0]["stmt"], &self.table, &self.column)
        }))
    }

    fn route(&mut self, input: Input<'_>, statement: Option<&Use>) -> Output {
        let (Some(found), Some(query)) = (statement, input.query()) else {
            return Output::skip();
        };
        match found {
            Use::Vectors(operands) if !input.prepare_only() => {
                self.nearest(operands, query, input.cluster().shards())
            }
            Use::Update => {
                let message = format!(
                    "\"{}\" decides where a row is: it cannot be updated",
                    self.column
                );
                Output::error(
                    Refusal::new("0A000", message).hint("Delete the row, and insert it again."),
                )
            }
            _ => Output::skip(),
        }
    }
}

impl VectorRouting {
    fn nearest(&self, operands: &[Operand], query: Query<'_>, shards: u32) -> Output {
        let mut decided = None;
        for operand in operands {
            let raw = match operand {
                Operand::Text(text) => RawValue {
                    bytes: Some(text.as_bytes()),
                    format: Format::Text,
                    type_oid: 0,
                },
                // What type the client gave it does not matter: pgvector's has another number in each database.
                Operand::Parameter(index) => match query.parameter(*index) {
                    Some(parameter) => RawValue {
                        type_oid: 0,
                        ..parameter.raw()
                    },
                    None => return Output::skip(),
                },
            };
            let vector = match raw.decode::<Option<Vector>>() {
                Ok(Some(Vector(vector))) => vector,
                Ok(None) => continue,
                Err(error) => return Output::error(Refusal::new("22P02", error.to_string())),
            };
            let shard = match self.centroids.nearest(&vector) {
                Ok(shard) if shard < shards => shard,
                Ok(shard) => {
                    return Output::failed(format!("centroids: there is no shard {shard}"));
                }
                Err(message) => return Output::error(Refusal::new("22000", message)),
            };
            if decided.is_some_and(|other| other != shard) {
                let message = "these vectors belong to different shards";
                return Output::error(
                    Refusal::new("0A000", message).hint("Insert them one by one."),
                );
            }
            decided = Some(shard);
        }
        decided.map_or(Output::skip(), |shard| {
            Output::forward(Route::only_shard(shard))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::VectorRouting;
    use pooler_plugin::testing::{Request, Runner};
    use pooler_plugin::{NewParameter, Output, Route, sys};

    const CONFIG: &str = r#"{"table":"items","column":"embedding","distance":"l2","centroids":[
        {"shard":0,"vector":[0,0]},{"shard":1,"vector":[10,0]}
    ]}"#;
    const SEARCH: &str = r#"{"stmts":[{"stmt":{"SelectStmt":{"sortClause":[{"SortBy":{"node":{"A_Expr":{
        "name":[{"String":{"sval":"<->"}}],
        "lexpr":{"ColumnRef":{"fields":[{"String":{"sval":"embedding"}}]}},
        "rexpr":{"ParamRef":{"number":1}}}}}}]}}}]}"#;

    fn search(parameter: NewParameter) -> Result<Output, String> {
        let request = Request::new("SELECT")
            .table("items", sys::TABLE_READ)
            .parse_tree(SEARCH)
            .shards(2);
        let answer = Runner::start::<VectorRouting>(CONFIG)
            .unwrap()
            .route(&request.parameter(parameter));
        answer.map_err(|failure| failure.message)
    }

    #[test]
    fn text_and_binary_go_to_the_nearest() {
        let binary = |x: f32| [&[0, 2, 0, 0], &x.to_be_bytes()[..], &0_f32.to_be_bytes()].concat();
        for (x, shard) in [(4.9, 0), (5.1, 1), (-100.0, 0)] {
            let forward = Ok(Output::forward(Route::only_shard(shard)));
            assert_eq!(search(NewParameter::text(format!("[{x},0]"))), forward);
            assert_eq!(search(NewParameter::binary(0, binary(x))), forward);
            assert_eq!(search(NewParameter::binary(16_403, binary(x))), forward);
        }
        assert_eq!(search(NewParameter::null()), Ok(Output::skip()));
    }

    #[test]
    fn what_is_no_vector_of_that_size_is_refused() {
        for (text, sqlstate) in [("[1,2,3]", "22000"), ("[1,x]", "22P02"), ("", "22P02")] {
            let answer = search(NewParameter::text(text));
            assert!(
                matches!(&answer, Ok(Output::Error(refusal)) if refusal.sqlstate() == sqlstate),
                "{text}: {answer:?}"
            );
        }
    }
}
