//! How targets were last found, and how many workers each sort of them may have.
//!
//! A worker that waits for an answer is one that others do not get. So those that a target is worth
//! depend on how it was last found: targets that took what they were sent have workers left whatever
//! the others do, and those that failed share a few, each after a pause of its own.

use std::collections::HashMap;

use tokio::time::Instant;

use super::DeliveryOptions;

/// Targets served at a time. More wait until one has nothing left, or gives way.
const TARGETS_MAX: usize = 64;

/// Of those, targets that are not known to take anything: new ones, which may be made up in any number,
/// and those that failed.
const NOT_TAKING_MAX: usize = 48;

/// Of those, targets that failed.
const FAILING_MAX: usize = 16;

/// Targets of either sort that are remembered: a few MiB at the most. One that was forgotten is like
/// one that is new.
const REMEMBERED_MAX: usize = 4_096;

/// How a target was last found, from the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Standing {
    /// It took nothing, or not all.
    Failing = 1,
    /// Nobody knows.
    Unknown,
    /// It took what it was sent.
    Taking,
}

impl Standing {
    const FROM_THE_BEST: [Self; 3] = [Self::Taking, Self::Unknown, Self::Failing];

    /// How many targets that stand like this or worse are served at a time.
    const fn workers_max(self) -> usize {
        match self {
            Self::Taking => TARGETS_MAX,
            Self::Unknown => NOT_TAKING_MAX,
            Self::Failing => FAILING_MAX,
        }
    }
}

/// What is known of a target that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Workers that left it like that, one after the other.
    pub times: u32,
    /// Whether it gave no answer at all.
    pub is_down: bool,
}

/// How a worker leaves its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing waits for it.
    Empty {
        /// Whether it took something.
        took: bool,
    },
    /// It takes what it is sent, but others wait for the worker.
    Taking,
    /// It does not take what waits.
    Failing {
        /// Whether it took something else.
        took: bool,
        /// Whether it gave no answer at all.
        is_down: bool,
    },
}

/// The targets that are known, and those that are served.
#[derive(Debug, Default)]
pub struct Standings {
    working: HashMap<String, Standing>,
    /// When each last took something.
    taking: HashMap<String, Instant>,
    failing: HashMap<String, Failing>,
}

#[derive(Debug)]
struct Failing {
    failures: Failures,
    /// It is left alone until then.
    until: Instant,
}

/// What may be done for a target that has events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has got a worker.
    Taken(Standing, Failures),
    /// It has one already, or failed a moment ago.
    NotNow,
    /// There is none for those who stand like this or worse.
    Crowded(Standing),
}

impl Standings {
    /// Finds a place among the workers.
    pub fn enter(&mut self, arn: &str) -> Place {
        if self.working.contains_key(arn) {
            return Place::NotNow;
        }
        let failing = self.failing.get(arn);
        if failing.is_some_and(|failing| failing.until > Instant::now()) {
            return Place::NotNow;
        }
        let failures = failing.map(|failing| failing.failures);
        let standing = match failures {
            Some(_) => Standing::Failing,
            None if self.taking.contains_key(arn) => Standing::Taking,
            None => Standing::Unknown,
        };
        if let Some(level) = self.crowd_of(standing) {
            return Place::Crowded(level);
        }
        self.working.insert(arn.to_owned(), standing);
        Place::Taken(standing, failures.unwrap_or_default())
    }

    /// The level at which there is no worker left for a target.
    fn crowd_of(&self, standing: Standing) -> Option<Standing> {
        let is_full = |level: &Standing| {
            let working = self.working.values();
            working.filter(|other| *other <= level).count() >= level.workers_max()
        };
        let mut levels = Standing::FROM_THE_BEST.into_iter();
        levels.find(|level| *level >= standing && is_full(level))
    }

    /// Notes how a worker left its target.
    pub fn leave(&mut self, arn: String, left: Left, options: &DeliveryOptions) {
        self.working.remove(&arn);
        match left {
            Left::Empty { took: false } => {
                self.failing.remove(&arn);
            }
            Left::Empty { took: true } | Left::Taking => {
                self.failing.remove(&arn);
                self.taking.insert(arn, Instant::now());
                forget_first(&mut self.taking, |took_at| *took_at);
            }
            Left::Failing { took, is_down } => {
                self.taking.remove(&arn);
                let before = self.failing.get(&arn).map(|failing| failing.failures.times);
                let before = before.filter(|_| !took).unwrap_or(0);
                let mut pause = options.pause_after(before);
                if !is_down {
                    // Other events may be taken: they wait no longer than others would let them.
                    pause = pause.min(options.turn);
                }
                let failing = Failing {
                    failures: Failures {
                        times: before.saturating_add(1),
                        is_down,
                    },
                    until: Instant::now() + pause,
                };
                self.failing.insert(arn, failing);
                forget_first(&mut self.failing, |failing| failing.until);
            }
        }
    }
}

/// Forgets the one with the earliest time when there are too many.
fn forget_first<T>(known: &mut HashMap<String, T>, time: impl Fn(&T) -> Instant) {
    if known.len() <= REMEMBERED_MAX {
        return;
    }
    let first = known.iter().min_by_key(|(_, value)| time(value));
    if let Some(arn) = first.map(|(arn, _)| arn.clone()) {
        known.remove(&arn);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HANGS: Left = Left::Failing {
        took: false,
        is_down: true,
    };

    /// Lets as many enter as can.
    fn enter_all(standings: &mut Standings, name: &str, count: usize) -> usize {
        let enters = |number: &usize| {
            let place = standings.enter(&format!("{name}{number}"));
            matches!(place, Place::Taken(..))
        };
        (0..count).filter(enters).count()
    }

    fn leave_all(standings: &mut Standings, name: &str, count: usize, left: Left) {
        for number in 0..count {
            let options = DeliveryOptions::default();
            standings.leave(format!("{name}{number}"), left, &options);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_worse_a_target_the_fewer_workers() {
        let mut standings = Standings::default();
        assert_eq!(enter_all(&mut standings, "good", 20), 20);
        leave_all(&mut standings, "good", 20, Left::Empty { took: true });
        assert_eq!(enter_all(&mut standings, "bad", 100), NOT_TAKING_MAX);
        assert_eq!(
            standings.enter("new"),
            Place::Crowded(Standing::Unknown),
            "there is none for new ones"
        );
        leave_all(&mut standings, "bad", 100, HANGS);
        assert_eq!(
            enter_all(&mut standings, "bad", 100),
            0,
            "they wait at first"
        );
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(enter_all(&mut standings, "bad", 100), FAILING_MAX);
        assert_eq!(standings.enter("bad50"), Place::Crowded(Standing::Failing));
        let new = NOT_TAKING_MAX - FAILING_MAX;
        assert_eq!(enter_all(&mut standings, "new", 100), new);
        let good = TARGETS_MAX - NOT_TAKING_MAX;
        assert_eq!(enter_all(&mut standings, "good", 20), good);
        assert_eq!(standings.enter("good19"), Place::Crowded(Standing::Taking));
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_doubles_the_pause_of_its_own_target() {
        let mut standings = Standings::default();
        let options = DeliveryOptions::default();
        for (times, most_s) in [(0, 1), (1, 2), (2, 4), (3, 8)] {
            let Place::Taken(_, failures) = standings.enter("hangs") else {
                panic!("{times}");
            };
            assert_eq!((failures.times, failures.is_down), (times, times > 0));
            standings.leave("hangs".to_owned(), HANGS, &options);
            tokio::time::sleep(Duration::from_secs(most_s) / 2 - Duration::from_millis(1)).await;
            assert_eq!(standings.enter("hangs"), Place::NotNow);
            tokio::time::sleep(Duration::from_secs(most_s)).await;
        }
        assert!(matches!(standings.enter("hangs"), Place::Taken(..)));
        standings.leave("hangs".to_owned(), Left::Empty { took: true }, &options);
        let again = standings.enter("hangs");
        assert_eq!(again, Place::Taken(Standing::Taking, Failures::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let mut standings = Standings::default();
        let more = REMEMBERED_MAX + 10;
        leave_all(&mut standings, "t", more, Left::Taking);
        leave_all(&mut standings, "f", more, HANGS);
        assert_eq!(standings.taking.len(), REMEMBERED_MAX);
        assert_eq!(standings.failing.len(), REMEMBERED_MAX);
    }
}
