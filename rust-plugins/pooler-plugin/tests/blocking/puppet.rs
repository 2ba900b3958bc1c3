//! The plugin of these tests: it does what the SQL says, and meets the test on a stage. Knows no test.

use pooler_plugin::testing::BlockingRunner;
use pooler_plugin::{
    Accept, BlockingPlugin, Client, ClientAnswer, Error, First, Host, Input, Output, Query, Refusal, Server,
    ServerAnswer,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

/// How many threads have come, and a way to wait until enough have.
#[derive(Default)]
pub(crate) struct Meeting {
    here: Mutex<usize>,
    changed: Condvar,
}

impl Meeting {
    fn come(&self) {
        *self.here.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    pub(crate) fn count(&self) -> usize {
        *self.here.lock().unwrap()
    }

    /// Whether so many have come before it takes far too long.
    pub(crate) fn of(&self, count: usize) -> bool {
        let here = self.here.lock().unwrap();
        let late = self.changed.wait_timeout_while(here, Duration::from_secs(60), |here| *here < count).unwrap().1;
        !late.timed_out()
    }
}

/// What tests share with the plugin of this test, by the configuration's number.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) called: Meeting,
    pub(crate) learned: Meeting,
    /// How many learned values are alive.
    pub(crate) alive: AtomicUsize,
}

static STAGES: Mutex<Vec<Arc<Stage>>> = Mutex::new(Vec::new());

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    stage: usize,
    #[serde(default)]
    word: String,
}

/// Does what the SQL says.
pub(crate) struct Puppet {
    stage: Arc<Stage>,
    word: RwLock<Arc<str>>,
}

pub(crate) struct Learned {
    text: String,
    stage: Arc<Stage>,
}

impl Drop for Learned {
    fn drop(&mut self) {
        self.stage.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl BlockingPlugin for Puppet {
    type Config = Config;
    type Statement = Learned;

    fn new(_: &Host<'_>, config: Config) -> Result<Self, Error> {
        let stage = STAGES.lock().unwrap().get(config.stage).cloned().ok_or("there is no such stage")?;
        Ok(Puppet { stage, word: RwLock::new(config.word.into()) })
    }

    fn learn(&self, query: Query<'_>) -> Result<Learned, Error> {
        let text = query.as_str_lossy().into_owned();
        match text.as_str() {
            "learn: panic" => panic!("learned too much"),
            "learn: fail" => return Err(Error::new("not learned")),
            _ => {}
        }
        self.stage.alive.fetch_add(1, Ordering::SeqCst);
        self.stage.learned.come();
        Ok(Learned { text, stage: Arc::clone(&self.stage) })
    }

    fn wants(&self, statement: &Learned) -> bool {
        match statement.text.as_str() {
            "want: panic" => panic!("wants too much"),
            text => text != "not mine",
        }
    }

    fn route(&self, input: Input<'_>, statement: Option<&Learned>) -> Output {
        let Some(query) = input.query() else { return Output::skip() };
        let text = query.as_str_lossy().into_owned();
        if statement.is_some_and(|learned| learned.text != text) {
            return Output::failed("what was learned is another statement's");
        }
        self.stage.called.come();
        match text.split_once(": ") {
            Some(("meet", count)) => match self.stage.called.of(count.parse().unwrap()) {
                true => Output::skip(),
                false => Output::failed("the others did not come"),
            },
            Some(("until learned", count)) => match self.stage.learned.of(count.parse().unwrap()) {
                true => Output::skip(),
                false => Output::failed("nothing was learned meanwhile"),
            },
            Some(("say", words)) => Refusal::new("P0001", words.repeat(1000)).into(),
            Some(("panic", words)) => panic!("{words}"),
            Some(("word", _)) => Refusal::new("P0001", self.word.read().unwrap().to_string()).into(),
            _ if statement.is_none() => Output::failed("it was not learned"),
            _ => Output::skip(),
        }
    }

    fn client_connect(&self, client: Client<'_>) -> ClientAnswer {
        self.stage.called.come();
        match self.stage.called.of(2) {
            true => ClientAnswer::accept(Accept::new().database(client.asked_user().repeat(1000))),
            false => ClientAnswer::failed("the other did not come"),
        }
    }

    fn server_connect(&self, server: Server<'_>) -> ServerAnswer {
        self.stage.called.come();
        match self.stage.called.of(2) {
            true => ServerAnswer::first(First::new().session(server.database().repeat(1000))),
            false => ServerAnswer::failed("the other did not come"),
        }
    }

    fn reload(&self, _: &Host<'_>, config: Config) -> Result<(), Error> {
        *self.word.write().unwrap() = config.word.into();
        Ok(())
    }
}

/// A puppet of its own for a test, its stage, and the number that another puppet finds the stage by.
pub(crate) fn start() -> (BlockingRunner, Arc<Stage>, usize) {
    let stage = Arc::new(Stage::default());
    let number = {
        let mut stages = STAGES.lock().unwrap();
        stages.push(Arc::clone(&stage));
        stages.len() - 1
    };
    let runner = BlockingRunner::start::<Puppet>(&format!(r#"{{"stage": {number}, "word": "first"}}"#)).unwrap();
    (runner, stage, number)
}
