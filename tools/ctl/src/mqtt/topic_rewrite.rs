//! `robust-ctl mqtt topic-rewrite`: rules that give topics other names.

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::api::{Api, ApiOptions, KeyFile, segment};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::{self, Format, Printer};

const CREATE_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt topic-rewrite create --source 'x/#' --re '^x/y/(.+)$' --dest 'z/y/$1'
  robust-ctl mqtt topic-rewrite create --action publish --source inbox --re '^inbox$' --dest 'clients/${clientid}/inbox'";

const TRY_EXAMPLES: &str = "\
Examples:
  robust-ctl mqtt topic-rewrite try x/y/2                        what a message to x/y/2 is stored under
  robust-ctl mqtt topic-rewrite try 'x/+/2' --action subscribe   what a subscription becomes
  robust-ctl mqtt topic-rewrite try inbox --clientid c1 -o json";

#[derive(Subcommand)]
pub(crate) enum TopicRewriteCommand {
    /// List the rules in their order: of those whose filter matches, the last one decides.
    List(KeyFile),
    /// Make a rule behind all there are; it is in force at once.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// Remove a rule that was made at run time.
    Delete(Id),
    /// Say what a topic becomes, and by which rule; nothing is changed.
    #[command(after_help = TRY_EXAMPLES)]
    Try(TryArgs),
}

#[derive(Args)]
pub(crate) struct Id {
    /// Id of the rule, as `list` shows it.
    id: String,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Names that clients publish to.
    Publish,
    /// Filters that clients subscribe to and unsubscribe from.
    Subscribe,
    /// Both.
    All,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::All => "all",
        }
    }
}

#[derive(Args)]
pub(crate) struct CreateArgs {
    /// Which names it is about.
    #[arg(long, value_enum, default_value_t = Action::All)]
    action: Action,
    /// Topic filter of the names it is about.
    #[arg(long, visible_alias = "source-topic", value_name = "FILTER")]
    source: String,
    /// Regular expression that a name must match besides.
    #[arg(long, value_name = "PATTERN")]
    re: String,
    /// What they become: $1 to $N are what groups of the pattern matched, ${clientid} and ${username} the client.
    #[arg(long, visible_alias = "dest-topic", value_name = "TOPIC")]
    dest: String,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Args)]
pub(crate) struct TryArgs {
    /// The topic or filter.
    topic: String,
    /// What a client would do with it: publish or subscribe.
    #[arg(long, value_enum, default_value_t = Action::Publish)]
    action: Action,
    /// The client that would do it.
    #[arg(long, default_value = "")]
    clientid: String,
    /// Its user name.
    #[arg(long)]
    username: Option<String>,
    #[command(flatten)]
    key: KeyFile,
}

#[derive(Serialize)]
struct Definition<'a> {
    action: &'static str,
    source_topic: &'a str,
    dest_topic: &'a str,
    re: &'a str,
}

#[derive(Serialize)]
struct Trial<'a> {
    topic: &'a str,
    action: &'static str,
    clientid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
}

#[derive(Deserialize, Serialize)]
struct Rule {
    id: String,
    source: String,
    action: String,
    source_topic: String,
    dest_topic: String,
    re: String,
}

#[derive(Deserialize, Serialize)]
struct Tried {
    topic: String,
    result: String,
    valid: bool,
    rule: Option<Rule>,
    matched: bool,
}

const PATH: &str = "/mqtt/topic_rewrite";

pub(super) fn run(
    command: &TopicRewriteCommand,
    options: &ApiOptions,
    format: Format,
) -> Result<Verdict, CtlError> {
    match command {
        TopicRewriteCommand::List(key) => {
            let rules: Vec<Rule> = Api::new(options, key)?.object(PATH, &[])?;
            let mut printer = Printer::paged(format);
            printer.list(&rules, |rules| {
                let header = ["id", "source", "action", "source topic", "re", "dest topic"];
                output::table(&header, &[], rules.iter().map(Rule::row).collect())
            })?;
            printer.finish()?;
        }
        TopicRewriteCommand::Create(args) => {
            let definition = Definition {
                action: args.action.word(),
                source_topic: &args.source,
                dest_topic: &args.dest,
                re: &args.re,
            };
            let made: Rule = Api::new(options, &args.key)?.post(PATH, &definition)?;
            Printer::new(format).document(&made, || format!("rule {} is in force\n", made.id))?;
        }
        TopicRewriteCommand::Delete(id) => {
            let path = format!("{PATH}/{}", segment(&id.id));
            Api::new(options, &id.key)?.delete(&path)?;
        }
        TopicRewriteCommand::Try(args) => {
            let trial = Trial {
                topic: &args.topic,
                action: args.action.word(),
                clientid: &args.clientid,
                username: args.username.as_deref(),
            };
            let api = Api::new(options, &args.key)?;
            let tried: Tried = api.post(&format!("{PATH}/try"), &trial)?;
            Printer::new(format).document(&tried, || tried.text())?;
            if !tried.valid {
                return Ok(Verdict::Wrong);
            }
        }
    }
    Ok(Verdict::Fine)
}

impl Rule {
    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.source.clone(),
            self.action.clone(),
            self.source_topic.clone(),
            self.re.clone(),
            self.dest_topic.clone(),
        ]
    }
}

impl Tried {
    fn text(&self) -> String {
        let why = match (&self.rule, self.matched) {
            (None, _) => "no rule is about it".to_owned(),
            (Some(rule), false) => format!(
                "rule {} decides ({}), and its pattern {} does not match",
                rule.id, rule.source_topic, rule.re
            ),
            (Some(rule), true) => format!("rule {} decides ({})", rule.id, rule.source_topic),
        };
        let wrong = match self.valid {
            true => "",
            false => "\nThat is no topic: the client is refused.",
        };
        format!("{} -> {}\n{why}{wrong}\n", self.topic, self.result)
    }
}
