//! `log dump`: what stands in segments.

use std::io;

use clap::Args;
use robustmq_log::inspect::{DumpItem, LogInspector, SegmentStatus};
use robustmq_protocol::topic::FilterAutomaton;
use robustmq_record::{Batch, RecordRef, SegmentId, ShardId};

use super::frame::Frame;
use super::record::Record;
use super::{FoundLog, Location};
use crate::cli::Verdict;
use crate::error::CtlError;
use crate::output::Printer;

#[derive(Args)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    location: Location,
    /// Only this segment; may be given several times. All without it.
    #[arg(long, short, value_name = "NUMBER")]
    segment: Vec<u64>,
    /// Only what concerns this shard.
    #[arg(long, value_name = "NUMBER")]
    shard: Option<u32>,
    /// Print the records of the batches instead of the frames.
    #[arg(long, short)]
    records: bool,
    /// Only messages whose topic matches; implies --records.
    #[arg(long, short, value_name = "FILTER")]
    topic: Option<String>,
    /// Stop after so many lines.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<u64>,
}

pub(super) fn run(args: &DumpArgs, printer: &mut Printer) -> Result<Verdict, CtlError> {
    let topic = match &args.topic {
        None => None,
        Some(filter) => Some(parse_filter(filter)?),
    };
    let found = args.location.open()?;
    let mut dump = Dump {
        args,
        topic,
        printer,
        left: args.limit.unwrap_or(u64::MAX),
        failed: None,
    };
    for id in wanted(args, &found)? {
        let mut visit = |item| dump.item(id, &item);
        match found.inspector.dump(id, &mut visit) {
            // Retention was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            dumped => dumped.map_err(found.read_error())?,
        }
        if let Some(error) = dump.failed.take() {
            return Err(error.into());
        }
        if dump.left == 0 {
            break;
        }
    }
    printer.finish_elements()?;
    Ok(Verdict::Fine)
}

fn parse_filter(filter: &str) -> Result<FilterAutomaton, CtlError> {
    FilterAutomaton::parse(filter).map_err(|error| CtlError::Filter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })
}

/// The segments asked for; without any, all that were begun.
fn wanted(args: &DumpArgs, found: &FoundLog) -> Result<Vec<SegmentId>, CtlError> {
    let begun = begun(&found.inspector).map_err(found.read_error())?;
    if args.segment.is_empty() {
        return Ok(begun);
    }
    let missing = args
        .segment
        .iter()
        .find(|id| !begun.contains(&SegmentId(**id)));
    match missing {
        Some(id) => Err(CtlError::NoSegment { id: *id }),
        None => Ok(args.segment.iter().copied().map(SegmentId).collect()),
    }
}

fn begun(inspector: &LogInspector) -> io::Result<Vec<SegmentId>> {
    let segments = inspector.segments()?.into_iter();
    let begun = segments.filter(|segment| segment.status != SegmentStatus::Ready);
    Ok(begun.map(|segment| segment.id).collect())
}

/// A dump under way.
struct Dump<'a> {
    args: &'a DumpArgs,
    topic: Option<FilterAutomaton>,
    printer: &'a mut Printer,
    left: u64,
    failed: Option<io::Error>,
}

impl Dump<'_> {
    /// Prints what concerns the user; whether to go on.
    fn item(&mut self, segment: SegmentId, item: &DumpItem) -> bool {
        let printed = match item {
            DumpItem::Batch { batch, .. } if self.shows_records() => self.records(batch),
            _ if self.topic.is_some() => Ok(()),
            DumpItem::Batch { batch, .. } if !self.concerns(batch.shard()) => Ok(()),
            item => self.frame(segment, item),
        };
        if let Err(error) = printed {
            self.failed = Some(error);
            return false;
        }
        self.left > 0
    }

    fn shows_records(&self) -> bool {
        self.args.records || self.topic.is_some()
    }

    fn concerns(&self, shard: ShardId) -> bool {
        self.args.shard.is_none_or(|wanted| wanted == shard.0)
    }

    fn frame(&mut self, segment: SegmentId, item: &DumpItem) -> io::Result<()> {
        let frame = Frame::new(segment, item);
        self.left = self.left.saturating_sub(1);
        self.printer.element(&frame, || frame.text())
    }

    fn records(&mut self, batch: &Batch) -> io::Result<()> {
        if !self.concerns(batch.shard()) {
            return Ok(());
        }
        for record in batch.records() {
            if self.left == 0 {
                break;
            }
            if self.wants(&record) {
                let record = Record::new(batch.shard(), &record);
                self.left -= 1;
                self.printer.element(&record, || record.text())?;
            }
        }
        Ok(())
    }

    fn wants(&self, record: &RecordRef<'_>) -> bool {
        let Some(filter) = &self.topic else {
            return true;
        };
        record.kind() == robustmq_record::KIND_MESSAGE && filter.matches(record.topic().as_bytes())
    }
}
