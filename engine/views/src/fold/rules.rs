//! Rules: definitions made while the broker runs, by family and name.

use robustmq_record::RecordRef;

use super::{Fold, Overlay};
use crate::error::ViewError;
use crate::keys;
use crate::rule::{Rule, RuleEntry};
use crate::state::{RuleCarried, RuleChange};

/// What the views hold of a rule.
pub(crate) fn known(
    overlay: &Overlay<'_>,
    namespace: &str,
    (family, name): (&str, &str),
) -> Result<Option<RuleEntry>, ViewError> {
    let stored = overlay.get(&keys::rule(namespace, family, name))?;
    stored
        .map(|bytes| RuleEntry::decode(family, name, &bytes))
        .transpose()
        .map_err(ViewError::damaged("rule"))
}

/// Removes a rule.
pub(crate) fn remove(overlay: &mut Overlay<'_>, namespace: &str, entry: &RuleEntry) {
    let key = keys::rule(namespace, &entry.rule.family, &entry.rule.name);
    overlay.delete(keys::source(entry.shard, entry.source, &key));
    overlay.delete(key);
}

fn put(overlay: &mut Overlay<'_>, namespace: &str, entry: &RuleEntry) {
    let key = keys::rule(namespace, &entry.rule.family, &entry.rule.name);
    overlay.put(keys::source(entry.shard, entry.source, &key), Vec::new());
    overlay.put(key, entry.encode());
}

impl Fold<'_> {
    /// Every change of a record takes effect, or none: they stand in one.
    pub(super) fn rules_changed(
        &mut self,
        record: &RecordRef<'_>,
        family: &str,
        changes: Vec<RuleChange>,
    ) -> Result<(), ViewError> {
        let namespace = record.namespace();
        self.rules_changed = true;
        for RuleChange { name, definition } in changes {
            if let Some(before) = known(&self.overlay, namespace, (family, &name))? {
                remove(&mut self.overlay, namespace, &before);
            }
            match definition {
                None => {
                    let key = keys::rule(namespace, family, &name);
                    self.note_touched(&key, record.offset());
                }
                Some(definition) => {
                    let entry = RuleEntry {
                        source: record.offset(),
                        shard: self.shard,
                        offset: record.offset(),
                        rule: Rule {
                            family: family.to_owned(),
                            name,
                            definition,
                            set_at_ms: record.timestamp_ms(),
                        },
                    };
                    put(&mut self.overlay, namespace, &entry);
                }
            }
        }
        Ok(())
    }

    pub(super) fn rule_carried(
        &mut self,
        record: &RecordRef<'_>,
        carried: RuleCarried,
    ) -> Result<(), ViewError> {
        let namespace = record.namespace();
        let key = keys::rule(namespace, &carried.family, &carried.name);
        let before = known(&self.overlay, namespace, (&carried.family, &carried.name))?;
        let changed = before.as_ref().map(|entry| entry.offset);
        if !self.standing(&key, changed)?.accepts(carried.as_of) {
            return Ok(());
        }
        let mut source = carried.as_of;
        if let Some(before) = before {
            source = source.max(before.source);
            remove(&mut self.overlay, namespace, &before);
        }
        self.rules_changed = true;
        let entry = RuleEntry {
            source,
            shard: self.shard,
            offset: carried.offset,
            rule: Rule {
                family: carried.family,
                name: carried.name,
                definition: carried.definition,
                set_at_ms: carried.set_at_ms,
            },
        };
        put(&mut self.overlay, namespace, &entry);
        Ok(())
    }
}
