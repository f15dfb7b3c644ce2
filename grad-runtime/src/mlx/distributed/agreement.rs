//! Whether processes are about to issue the same collective. Rank 0 decides it for all.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use super::message::Call;

/// What to tell the processes.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This process may begin the collective of this ticket.
    Agreed { rank: usize, ticket: u64 },
    /// The processes disagree.
    Disagreement(String),
    /// A process did not come in time.
    Expired(String),
}

/// A collective that a process waits with.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    call: Call,
    since: Instant,
}

/// What the processes are about to do.
#[derive(Debug)]
pub struct Agreement {
    /// By rank.
    waiting: Vec<Option<Waiting>>,
    /// What was sent and is not received: the sender, and its call.
    sent: Vec<(usize, Call)>,
    gone: Vec<bool>,
}

impl Call {
    fn is_send(&self) -> bool {
        self.name == "send"
    }

    /// Returns whether both are the same collective, in the same scopes.
    fn agrees_with(&self, other: &Self) -> bool {
        (&self.name, &self.operand, &self.mode, &self.transforms)
            == (&other.name, &other.operand, &other.mode, &other.transforms)
    }
}

impl Agreement {
    pub fn new(size: usize) -> Self {
        Self { waiting: (0..size).map(|_| None).collect(), sent: Vec::new(), gone: vec![false; size] }
    }

    /// Records the collective that a process is about to issue. A process that sends does not wait.
    pub fn issue(&mut self, rank: usize, ticket: u64, call: Call, now: Instant) -> Vec<Verdict> {
        if call.is_send() {
            self.sent.push((rank, call));
        } else {
            self.waiting[rank] = Some(Waiting { ticket, call, since: now });
        }
        self.decide()
    }

    /// Records that a process has left.
    pub fn leave(&mut self, rank: usize) -> Vec<Verdict> {
        self.waiting[rank] = None;
        self.gone[rank] = true;
        self.decide()
    }

    /// Returns a verdict if a process has waited for `limit`.
    pub fn expire(&self, limit: Duration, now: Instant) -> Option<Verdict> {
        let longest = self.waiting.iter().flatten().map(|waiting| now.duration_since(waiting.since)).max()?;
        (longest >= limit).then(|| {
            let mut report =
                format!("not every process issued its collective within {:.1} s:", limit.as_secs_f64());
            self.describe(&mut report);
            report.push_str("\nissue the same collectives on every process, or allow more time with `timeout`");
            Verdict::Expired(report)
        })
    }

    fn decide(&mut self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for rank in 0..self.waiting.len() {
            match self.receive(rank) {
                Ok(agreed) => verdicts.extend(agreed),
                Err(report) => return vec![Verdict::Disagreement(report)],
            }
        }
        let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (rank, waiting) in self.waiting.iter().enumerate() {
            if let Some(waiting) = waiting
                && waiting.call.peer.is_none()
            {
                groups.entry(waiting.call.group).or_default().push(rank);
            }
        }
        for ranks in groups.into_values() {
            let calls: Vec<&Call> =
                ranks.iter().filter_map(|&rank| self.waiting[rank].as_ref()).map(|waiting| &waiting.call).collect();
            if calls.len() < calls[0].members {
                continue;
            }
            if calls.iter().any(|call| !call.agrees_with(calls[0])) {
                return vec![self.disagreement()];
            }
            for rank in ranks {
                let ticket = self.waiting[rank].take().map_or(0, |waiting| waiting.ticket);
                verdicts.push(Verdict::Agreed { rank, ticket });
            }
        }
        // Where all wait and none may begin, none ever will.
        if verdicts.is_empty() && self.waiting.iter().all(Option::is_some) {
            return vec![self.disagreement()];
        }
        verdicts
    }

    /// Lets a process receive what was sent to it, if it waits for that.
    fn receive(&mut self, rank: usize) -> Result<Option<Verdict>, String> {
        let Some(Waiting { ticket, call, .. }) = &self.waiting[rank] else { return Ok(None) };
        let Some(source) = call.peer else { return Ok(None) };
        let from = |(sender, sent): &(usize, Call)| (*sender, sent.peer) == (source, Some(rank));
        let Some(at) = self.sent.iter().position(from) else {
            return if self.gone[source] { Err(self.report()) } else { Ok(None) };
        };
        if self.sent[at].1.operand != call.operand {
            let mut report = "what is received is not what was sent:".to_owned();
            let _ = write!(
                report,
                "\n  rank {source}: {}\n  rank {rank}: {}",
                Described(&self.sent[at].1),
                Described(call)
            );
            return Err(report);
        }
        let verdict = Verdict::Agreed { rank, ticket: *ticket };
        self.sent.remove(at);
        self.waiting[rank] = None;
        Ok(Some(verdict))
    }

    fn disagreement(&self) -> Verdict {
        Verdict::Disagreement(self.report())
    }

    fn report(&self) -> String {
        let mut report = "the processes are about to do different things:".to_owned();
        self.describe(&mut report);
        report.push_str("\nissue the same collectives, in the same scopes and transforms, on every process");
        report
    }

    fn describe(&self, report: &mut String) {
        for (rank, (waiting, is_gone)) in self.waiting.iter().zip(&self.gone).enumerate() {
            let _ = match waiting {
                Some(waiting) => write!(report, "\n  rank {rank}: {}", Described(&waiting.call)),
                None if *is_gone => write!(report, "\n  rank {rank}: has left"),
                None => write!(report, "\n  rank {rank}: has issued no collective since the last one"),
            };
        }
    }
}

/// Displays a call and what is around it.
struct Described<'a>(&'a Call);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { name, operand, peer, mode, context, .. } = self.0;
        write!(f, "{name} of {operand}")?;
        if let Some(peer) = peer {
            write!(f, " {} rank {peer}", if self.0.is_send() { "to" } else { "from" })?;
        }
        context.place.iter().try_for_each(|place| write!(f, " at {place}"))?;
        match &context.transforms[..] {
            [] => f.write_str(", outside of transforms")?,
            transforms => write!(f, ", in {}", transforms.join(", in "))?,
        }
        write!(f, ", in mode {mode}")?;
        if !context.scopes.is_empty() {
            write!(f, " by {}", context.scopes.join(" and "))?;
        }
        if !context.cuts.is_empty() {
            write!(f, "; gradients were cut before by {}", context.cuts.join(" and "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Context;
    use super::*;

    fn call(name: &str, operand: &str) -> Call {
        Call {
            group: 0,
            members: 2,
            name: name.into(),
            operand: operand.into(),
            peer: None,
            mode: "enabled".into(),
            transforms: Vec::new(),
            context: Context::default(),
        }
    }

    fn of_group(group: u64, members: usize) -> Call {
        Call { group, members, ..call("all_sum", "float32[1]") }
    }

    fn between(name: &str, peer: usize, operand: &str) -> Call {
        Call { peer: Some(peer), ..call(name, operand) }
    }

    fn issue(agreement: &mut Agreement, rank: usize, call: Call) -> Vec<Verdict> {
        agreement.issue(rank, 10 + rank as u64, call, Instant::now())
    }

    fn agreed(rank: usize) -> Verdict {
        Verdict::Agreed { rank, ticket: 10 + rank as u64 }
    }

    fn report(verdicts: &[Verdict]) -> &str {
        let [Verdict::Disagreement(report)] = verdicts else { panic!("{verdicts:?}") };
        report
    }

    #[test]
    fn all_members_begin_once_all_have_come() {
        let mut agreement = Agreement::new(2);
        assert_eq!(issue(&mut agreement, 1, call("all_sum", "float32[1]")), []);
        assert_eq!(issue(&mut agreement, 0, call("all_sum", "float32[1]")), [agreed(0), agreed(1)]);
        // The next one starts anew.
        assert_eq!(issue(&mut agreement, 0, call("all_sum", "float32[1]")), []);
    }

    #[test]
    fn name_operand_mode_and_transforms_are_compared() {
        let one = call("all_sum", "float32[1]");
        let transformed = Call { transforms: vec!["the backward pass of grad".into()], ..one.clone() };
        for other in [
            call("all_max", "float32[1]"),
            call("all_sum", "float32[2]"),
            Call { mode: "no_grad".into(), ..one.clone() },
            transformed,
        ] {
            let mut agreement = Agreement::new(2);
            issue(&mut agreement, 0, one.clone());
            let verdicts = issue(&mut agreement, 1, other.clone());
            let report = report(&verdicts);
            assert!(
                report.contains("\n  rank 0: all_sum of float32[1], outside of transforms, in mode enabled"),
                "{report}"
            );
            assert!(report.contains(&format!("\n  rank 1: {} of {}", other.name, other.operand)), "{report}");
        }
    }

    #[test]
    fn subgroups_agree_among_themselves() {
        let mut agreement = Agreement::new(4);
        assert_eq!(issue(&mut agreement, 0, of_group(1, 2)), []);
        assert_eq!(issue(&mut agreement, 2, of_group(2, 2)), []);
        assert_eq!(issue(&mut agreement, 1, of_group(1, 2)), [agreed(0), agreed(1)]);
        assert_eq!(issue(&mut agreement, 3, of_group(2, 2)), [agreed(2), agreed(3)]);
    }

    #[test]
    fn processes_that_wait_for_each_other_in_different_groups_disagree() {
        let mut agreement = Agreement::new(3);
        issue(&mut agreement, 0, of_group(0, 3));
        issue(&mut agreement, 1, of_group(0, 3));
        let verdicts = issue(&mut agreement, 2, of_group(1, 2));
        assert!(report(&verdicts).contains("rank 2: all_sum"));
    }

    #[test]
    fn what_is_received_must_be_what_was_sent() {
        let mut agreement = Agreement::new(3);
        assert_eq!(issue(&mut agreement, 0, between("recv", 1, "float32[2]")), []);
        assert_eq!(issue(&mut agreement, 1, between("send", 0, "float32[2]")), [agreed(0)]);
        issue(&mut agreement, 1, between("send", 2, "float32[2]"));
        let verdicts = issue(&mut agreement, 2, between("recv", 1, "int32[2]"));
        assert!(report(&verdicts).contains("rank 1: send of float32[2] to rank 2"), "{verdicts:?}");
        assert!(report(&verdicts).contains("rank 2: recv of int32[2] from rank 1"), "{verdicts:?}");
    }

    #[test]
    fn what_was_sent_by_a_process_that_has_left_is_received() {
        let mut agreement = Agreement::new(3);
        issue(&mut agreement, 1, between("send", 0, "float32[2]"));
        assert_eq!(agreement.leave(1), []);
        assert_eq!(issue(&mut agreement, 0, between("recv", 1, "float32[2]")), [agreed(0)]);
        let verdicts = issue(&mut agreement, 0, between("recv", 1, "float32[2]"));
        assert!(report(&verdicts).contains("rank 1: has left"), "{verdicts:?}");
    }

    #[test]
    fn processes_that_all_receive_disagree() {
        let mut agreement = Agreement::new(2);
        issue(&mut agreement, 0, between("recv", 1, "float32[2]"));
        let verdicts = issue(&mut agreement, 1, between("recv", 0, "float32[2]"));
        assert!(report(&verdicts).starts_with("the processes are about to do different things:"));
    }

    #[test]
    fn waiting_expires() {
        let (mut agreement, start) = (Agreement::new(2), Instant::now());
        agreement.issue(0, 1, call("all_sum", "float32[1]"), start);
        let limit = Duration::from_secs(5);
        assert_eq!(agreement.expire(limit, start + Duration::from_secs(4)), None);
        let Some(Verdict::Expired(report)) = agreement.expire(limit, start + limit) else { panic!("expires") };
        assert!(report.contains("rank 1: has issued no collective since the last one"), "{report}");
    }
}
