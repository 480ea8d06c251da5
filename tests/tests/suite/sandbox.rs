//! Hostile guests: each ends as a clear error inside its bounds, while an honest run beside it completes.

use std::sync::Arc;
use std::time::Duration;

use batch_export_sandbox::Limits;
use batch_export_sandbox::{Journal, MemoryJournal};
use batch_export_system::explain::Cause;
use batch_export_tests::components;
use batch_export_tests::scene::{BUCKET, Messages, Outcome, Scene, run};
use devstore::{Fault, What};
use serde_json::{Value, json};

/// Small enough that an attack meets them soon, large enough that an honest guest needs a hundredth. Time is as in
/// production: however busy the machine is, what ends an attack is the limit that it attacks.
pub(crate) fn tight() -> Limits {
    let mut limits = Limits::default();
    limits.guest_memory_bytes = 256 << 20;
    limits.notes = 50;
    limits.log_lines = 20;
    limits.http.requests = 500;
    limits.http.exchanges_open = 100;
    limits
}

/// For what never ends by itself.
fn hasty() -> Limits {
    let mut limits = tight();
    limits.compute_time_per_call = Duration::from_secs(1);
    limits.waiting_time_per_call = Duration::from_secs(2);
    limits
}

/// The rows that the honest guest reports; it never looks at them.
const ROWS: u64 = 3;

pub(crate) fn attack(scene: &Scene, name: &str) -> Value {
    let further = json!({
        "attack": name, "rows": ROWS, "other_origin": "http://127.0.0.1:9", "key_style": "compact",
    });
    scene.configuration(&format!("{name}/"), further)
}

/// Not to be found by a fault that looks for the attack's name in keys.
fn honest_prefix(name: &str) -> String {
    format!("honest-beside-{}/", name.replace('-', "_"))
}

/// The key of the one object that an honest guest writes.
fn written_key(prefix: &str) -> String {
    format!("{prefix}20230728T000000Z-20230728T010000Z.bin")
}

/// Run the attack beside an honest run, which must complete.
pub(crate) async fn attempt(scene: &Scene, name: &str, limits: Limits) -> Outcome {
    let plugin = scene.hostile();
    let (evil, honest) = (attack(scene, name), {
        let mut honest = attack(scene, "none");
        honest["prefix"] = json!(honest_prefix(name));
        honest
    });
    let messages = Messages::opaque();
    let (outcome, beside) = tokio::join!(
        scene.run(&plugin, &evil, &messages, limits),
        scene.run(&plugin, &honest, &messages, tight())
    );
    assert_eq!(beside.report().rows_exported, ROWS, "the honest run beside `{name}`");
    assert!(
        scene.store.object(BUCKET, &written_key(&honest_prefix(name))).is_ok(),
        "the honest run's object beside `{name}`"
    );
    outcome
}

/// Each attack's error holds every one of the words, and it ends in the step named.
pub(crate) async fn check(limits: Limits, cases: &[(&str, &str, &[&str])]) {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for (name, step, words) in cases {
        let outcome = attempt(&scene, name, limits.clone()).await;
        let error = match &outcome.result {
            Err(error) => error.clone(),
            Ok(report) => format!("no error: {report:?}"),
        };
        let missing: Vec<_> = words.iter().filter(|word| !error.contains(**word)).collect();
        if outcome.step != *step || !missing.is_empty() || error.contains("ESCAPED") {
            wrong.push(format!(
                "`{name}` ended in {} without {missing:?}: {error:.500}",
                outcome.step
            ));
        }
        if error.len() > 64 << 10 {
            wrong.push(format!("`{name}`: an error of {} bytes", error.len()));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guest_is_honest_when_told_to_be() {
    let scene = Scene::new().await;
    let outcome = attempt(&scene, "none", tight()).await;
    assert_eq!(outcome.report().rows_exported, ROWS);
    assert_eq!(
        scene.store.keys(BUCKET),
        [written_key("honest-beside-none/"), written_key("none/")]
    );
}

/// Of no bytes, of some, asked for twice and not in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_right_however_it_is_asked_for() {
    check(tight(), &[("wrong-digest", "encode-batch", &["32 [e3, 6, 92, 83]"])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_ends_with_its_computing_time() {
    let words: &[&str] = &["computed for longer than"];
    check(
        hasty(),
        &[
            ("loop-in-plan", "plan", words),
            ("loop-in-configure", "configure", words),
            ("loop-in-encode-batch", "encode-batch", words),
            ("loop-in-finish", "finish", words),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_in_any_export_is_that_runs_alone() {
    let mut cases = Vec::new();
    let attacks: [(&str, &[&str]); 2] = [("trap", &["trap"]), ("panic", &["trap"])];
    for (attack, words) in attacks {
        for step in ["plan", "configure", "encode-batch", "finish"] {
            cases.push((format!("{attack}-in-{step}"), step, words));
        }
    }
    let cases: Vec<_> = cases
        .iter()
        .map(|(name, step, words)| (name.as_str(), *step, *words))
        .collect();
    check(tight(), &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_stack_end_at_their_limits() {
    check(
        tight(),
        &[
            ("memory-in-plan", "plan", &["ran out of memory", "limit"]),
            (
                "memory-in-encode-batch",
                "encode-batch",
                &["ran out of memory", "limit"],
            ),
            ("overflow-in-encode-batch", "encode-batch", &["trap"]),
            ("flood-payloads", "encode-batch", &["payload"]),
            (
                "huge-payload",
                "encode-batch",
                &["too much data to the host in one call", "the limit is 71303168 bytes"],
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_at_their_limits() {
    let scene = Scene::new().await;
    for name in ["flood-requests", "flood-dropped-requests"] {
        let outcome = attempt(&scene, name, tight()).await;
        let error = outcome.error();
        assert!(!error.contains("ESCAPED"), "{name}: {error}");
        assert!(error.contains("limit") || error.contains("many"), "{name}: {error}");
    }
    let outcome = attempt(&scene, "flood-notes", tight()).await;
    assert!(outcome.error().contains("contained"), "{}", outcome.error());
    assert!(outcome.notes.len() <= tight().notes, "{} notes", outcome.notes.len());
    let outcome = attempt(&scene, "huge-note", tight()).await;
    assert!(outcome.error().contains("contained"), "{}", outcome.error());
    assert_eq!(outcome.notes.len(), 0);
    let requests = scene.store.requests().len() as u64;
    assert!(
        requests <= 4 * (tight().http.requests + 10),
        "{requests} requests reached the store"
    );
}

/// 250 answers of nearly 8 MiB, none taken: what the host holds is counted, and the process grows by little more.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_never_taken_stay_within_their_budget() {
    const PROCESS_MAY_GROW_KIB: u64 = 700 << 10;
    let scene = Scene::new().await;
    // Everything that a session takes in any case is there before it is measured.
    attempt(&scene, "none", tight()).await.report();
    let before_kib = peak_resident_kib();
    let limits = Limits::default();
    let outcome = attempt(&scene, "hoard-answers", limits.clone()).await;
    let error = outcome.error();
    for words in ["contained", "responses_held_bytes"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let budget = limits.http.responses_held_bytes;
    let peak = outcome.peak_answers_bytes;
    assert!((budget / 2..=budget).contains(&peak), "{peak} of {budget}");
    let grown_kib = peak_resident_kib() - before_kib;
    assert!(grown_kib < PROCESS_MAY_GROW_KIB, "{grown_kib} KiB");
}

/// The most memory that this process ever held, as Linux counts it; elsewhere the host's own count has to do.
fn peak_resident_kib() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return 0;
    };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a peak").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_bounded_in_number_and_length_and_cannot_move_a_terminal() {
    let scene = Scene::new().await;
    for name in ["flood-log", "huge-log-line", "evil-log-line"] {
        let outcome = attempt(&scene, name, tight()).await;
        outcome.report();
        // One line more says that further ones are dropped.
        assert!(
            outcome.log.len() <= tight().log_lines + 1,
            "{name}: {} lines",
            outcome.log.len()
        );
        assert!(!outcome.log.is_empty(), "{name}");
        for (_, line) in &outcome.log {
            assert!(
                line.len() <= tight().log_line_bytes + 16,
                "{name}: a line of {} bytes",
                line.len()
            );
            assert!(!line.contains(char::is_control), "{name}: {line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn misused_exchanges_end_the_call_or_nothing() {
    let scene = Scene::new().await;
    // Left open: the run goes on, and the host cancels the request with the instance.
    attempt(&scene, "open-exchange", tight()).await.report();
    let open = scene.store.requests();
    assert!(
        open.iter()
            .all(|request| !request.path.contains("/open-exchange/") || request.method == "PUT")
    );
    let twice = attempt(&scene, "wait-twice", tight()).await;
    assert!(twice.error().contains("contained"), "{}", twice.error());
    let none = attempt(&scene, "wait-any-of-none", tight()).await;
    assert_eq!(none.step, "encode-batch");
    none.error();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_with_its_own_time() {
    let scene = Scene::new().await;
    let hang = Fault::always(What::Hang).key_contains("wait-forever");
    scene.store.set_faults(vec![hang]);
    let outcome = attempt(&scene, "wait-forever", hasty()).await;
    assert!(
        outcome.error().contains("waited for longer than"),
        "{}",
        outcome.error()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_left_open_by_a_trap_is_aborted_by_a_fresh_instance() {
    let scene = Scene::new().await;
    let outcome = attempt(&scene, "open-upload-then-trap", tight()).await;
    assert_eq!(outcome.step, "encode-batch");
    let open = scene.store.open_uploads();
    assert_eq!(
        open.len(),
        1,
        "the trap should have left its upload: {}",
        outcome.error()
    );
    assert_eq!(outcome.notes, [open[0].upload_id.as_bytes()]);

    let configuration = attack(&scene, "open-upload-then-trap");
    let recovery = scene.recover(&scene.hostile(), &configuration, outcome.notes).await;
    let recovery = recovery.expect("recovers");
    let aborted: Vec<&str> = recovery
        .aborted
        .iter()
        .map(|upload| upload.upload_id.as_str())
        .collect();
    assert_eq!(aborted, [open[0].upload_id.as_str()]);
    assert_eq!(scene.store.open_uploads(), []);
}

/// Takes a while for each note, as disks do.
struct Slow(MemoryJournal);

impl Journal for Slow {
    fn note(&self, note: &[u8], durable: bool) -> Result<(), Cause> {
        std::thread::sleep(Duration::from_millis(1));
        self.0.note(note, durable)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_gone_takes_no_further_note() {
    let scene = Scene::new().await;
    for is_closed in [true, false] {
        let notes = MemoryJournal::default();
        let journal = Box::new(Slow(notes.clone()));
        let (configuration, plugin) = (attack(&scene, "flood-notes"), scene.hostile());
        let (log, limits) = (Arc::default(), Limits::default());
        let session = scene
            .session(&run(), &plugin, &configuration, journal, &log, limits)
            .await
            .expect("a session");
        session.configure(&b"schema"[..]).await.expect("configured");
        let noted = async {
            while notes.notes().len() < 5 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            ended = session.encode_batch(&b"batch"[..]) => panic!("it ended too early: {ended:?}"),
            () = noted => {}
        }
        match is_closed {
            true => session.close().await,
            false => drop(session),
        }
        let kept = notes.notes().len();
        // Time for a hundred notes, if anybody still wrote them.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(notes.notes().len(), kept, "closed: {is_closed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_a_guest_reach_a_person_short_and_harmless() {
    let scene = Scene::new().await;
    let outcome = attempt(&scene, "huge-error", tight()).await;
    let error = outcome.error();
    assert!(error.len() <= 4 << 10, "an error of {} bytes", error.len());
    assert!(!error.contains(char::is_control), "{error:.100?}");

    let outcome = attempt(&scene, "huge-report", tight()).await;
    let warnings = &outcome.report().warnings;
    assert!(!warnings.is_empty());
    for warning in warnings {
        let told = warning.in_one_text();
        assert!(told.len() <= 4 << 10, "{} bytes", told.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_and_recover_are_bounded_like_the_rest() {
    let scene = Scene::new().await;
    for (guest, word) in [
        ("describe-loop", "computed for longer than"),
        ("describe-trap", "trap"),
        ("traps", "trap"),
    ] {
        let plugin = scene.load(&components::guest(guest)).expect("it loads");
        let error = plugin.describe().await.expect_err("describe fails").to_string();
        assert!(error.contains(word), "{guest}: {error}");
    }
    let configuration = attack(&scene, "trap-in-recover");
    let error = scene.recover(&scene.hostile(), &configuration, Vec::new()).await;
    assert!(error.expect_err("recover fails").contains("trap"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_hostile_instances_leave_four_honest_ones_alone() {
    let scene = Arc::new(Scene::new().await);
    let plugin = scene.hostile();
    let attacks = [
        "loop-in-encode-batch",
        "trap-in-encode-batch",
        "memory-in-encode-batch",
        "overflow-in-encode-batch",
        "other-bucket",
        "flood-requests",
        "flood-log",
        "flood-digests",
        "open-exchange",
    ];
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..68 {
        let (scene, plugin) = (Arc::clone(&scene), plugin.clone());
        runs.spawn(async move {
            // Every seventeenth is honest.
            let honest = number % 17 == 0;
            let name = if honest {
                "none"
            } else {
                attacks[number % attacks.len()]
            };
            let mut configuration = attack(&scene, name);
            configuration["prefix"] = json!(format!("run-{number}/"));
            // What loops must end; who is honest may be slow beside so many.
            let mut limits = if honest { tight() } else { hasty() };
            limits.guest_memory_bytes = 16 << 20;
            let outcome = scene.run(&plugin, &configuration, &Messages::opaque(), limits).await;
            (honest, outcome)
        });
    }
    let mut completed = 0;
    while let Some(ended) = runs.join_next().await {
        let (honest, outcome) = ended.expect("no panic in the host");
        if honest {
            assert_eq!(outcome.report().rows_exported, ROWS);
            completed += 1;
        }
    }
    assert_eq!(completed, 4);
}
