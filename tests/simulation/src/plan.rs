//! What a seed draws: how many buyers come and how they behave, what goes wrong and when.

use kontor_channels::amazon::{FaultPlan as MarketFaults, SimulatorConfig};
use kontor_store::FaultPlan;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scheduler::Choice;
use crate::store::Tempo;

/// Every so many seeds the whole crowd comes.
const CROWD_EVERY: u64 = 64;
/// The whole crowd.
const CROWD: u32 = 200;

/// Something that is done to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The power fails: what was not synced may be lost.
    PowerCut,
    /// The process is killed and started again: what was committed is there.
    Restart,
    /// New settings, as a new revision.
    Configure,
    /// The same code as a newer version, with its migration.
    Upgrade,
    /// Back to an earlier revision.
    Rollback,
    /// The host's clock is off by so much from now on.
    Clock(i64),
    /// The lamp has another price.
    Price(i64),
}

/// What goes wrong between buyers and host, in thousandths of the requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    pub(crate) lost_requests: u32,
    pub(crate) lost_answers: u32,
    pub(crate) doubled_requests: u32,
}

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// Decides everything.
    pub seed: u64,
    /// Whether the whole crowd comes, whatever the seed says.
    pub whole_crowd: bool,
}

impl From<u64> for Case {
    fn from(seed: u64) -> Self {
        Self { seed, whole_crowd: false }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// By channel: web shop, till, marketplace.
    pub(crate) buyers: [u32; 3],
    /// The buyers come within so long.
    pub(crate) rush_ms: u64,
    /// Of 100 buyers so many want the second article too.
    pub(crate) both: u32,
    /// Of 100 buyers so many want two lamps.
    pub(crate) pairs: u32,
    /// Those who reserve and do not buy.
    pub(crate) holders: u32,
    /// Of 100 orders so many are cancelled, and so many shipped, by staff.
    pub(crate) cancelled: u32,
    pub(crate) shipped: u32,
    /// Clients that append to lists, and transactions of each.
    pub(crate) appenders: u32,
    pub(crate) appends: u32,
    /// Those who look at the books all the while.
    pub(crate) auditors: u32,
    pub(crate) network: Network,
    pub(crate) store: FaultPlan,
    /// Changes that the store remembers for validation; fewer, and views grow too old.
    pub(crate) remembered_changes: usize,
    pub(crate) tempo: Tempo,
    pub(crate) choice: Choice,
    pub(crate) market: MarketFaults,
    /// When, after the beginning, and what.
    pub(crate) blows: Vec<(u64, Blow)>,
    /// Nothing but the buyers' haste: then every lamp must be sold.
    pub(crate) is_calm: bool,
}

impl Plan {
    pub(crate) fn draw(case: Case) -> Self {
        let Case { seed, whole_crowd } = case;
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let is_calm = seed.is_multiple_of(8);
        let drawn = random.random_range(20..=32);
        let crowd = if whole_crowd || seed.is_multiple_of(CROWD_EVERY) { CROWD } else { drawn };
        let third = crowd / 3;
        let buyers = [crowd - 2 * third, third, third];
        let rush_ms = *[200, 3_000, 60_000].get(random.random_range(0..3)).unwrap_or(&200);
        let choice = if random.random_ratio(1, 3) { Choice::Ranked } else { Choice::Even };
        let tempo = Tempo {
            read_pauses: *[0, 20, 200].get(random.random_range(0..3)).unwrap_or(&0),
            slow_commits: *[0, 50, 300].get(random.random_range(0..3)).unwrap_or(&0),
            slow_ms_max: 40,
            lost_commits: 0,
        };
        let mut plan = Self {
            seed,
            buyers,
            rush_ms,
            both: 0,
            pairs: 0,
            holders: 0,
            cancelled: 0,
            shipped: 0,
            appenders: 3,
            appends: 4,
            auditors: 1,
            network: Network::default(),
            store: FaultPlan { seed, ..FaultPlan::default() },
            remembered_changes: 4_096,
            tempo,
            choice,
            market: MarketFaults::none(),
            blows: Vec::new(),
            is_calm,
        };
        if !is_calm {
            plan.draw_trouble(&mut random);
        }
        plan
    }

    fn draw_trouble(&mut self, random: &mut ChaCha8Rng) {
        (self.both, self.pairs) = (random.random_range(0..=40), random.random_range(0..=40));
        self.holders = random.random_range(0..=2);
        (self.cancelled, self.shipped) = (random.random_range(0..=20), random.random_range(0..=40));
        let mut share = |most: u32| if random.random_ratio(1, 2) { random.random_range(0..=most) } else { 0 };
        self.network = Network { lost_requests: share(60), lost_answers: share(80), doubled_requests: share(150) };
        self.store = FaultPlan {
            seed: self.seed ^ 0x57_0e,
            read_unavailable_ppm: share(600),
            conflict_ppm: share(60_000),
            commit_unavailable_ppm: share(20_000),
            unknown_applied_ppm: share(20_000),
            unknown_lost_ppm: share(20_000),
            crash_at_sync_ppm: share(1_500),
        };
        if random.random_ratio(1, 8) {
            self.tempo.lost_commits = random.random_range(200..=700);
        }
        self.remembered_changes = if random.random_ratio(1, 4) { 24 } else { 4_096 };
        self.market = match random.random_range(0..3) {
            0 => MarketFaults::none(),
            1 => MarketFaults { cancel: 1_000, duplicate_order: 2_000, shuffle: true, ..MarketFaults::none() },
            _ => MarketFaults::rough(),
        };
        let span_ms = self.rush_ms + 20_000;
        for _ in 0..random.random_range(0..=5) {
            let at_ms = random.random_range(0..span_ms);
            let blow = match random.random_range(0..9) {
                0 | 1 => Blow::PowerCut,
                2 => Blow::Restart,
                3 => Blow::Configure,
                4 => Blow::Upgrade,
                5 => Blow::Rollback,
                6 => Blow::Clock(random.random_range(-90_000..=90_000)),
                7 => Blow::Clock(0),
                _ => Blow::Price(random.random_range(1_500..=2_500)),
            };
            self.blows.push((at_ms, blow));
        }
        self.blows.sort_by_key(|(at_ms, _)| *at_ms);
    }

    /// The marketplace of this run: its time is the world's, orders clear within a minute or so.
    pub(crate) fn simulator(&self) -> SimulatorConfig {
        SimulatorConfig {
            faults: self.market,
            pending_ms: (5_000, 90_000),
            apply_ms: (500, 8_000),
            settling_ms: 10_000,
            ..SimulatorConfig::new(self.seed)
        }
    }
}
