//! The way of an alert to all of its receivers: each gets it once, whatever the others do.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::receivers::{Manner, hook, responds, webhook};
use super::*;
use crate::alerts::dispatcher::GIVE_UP_AFTER;
use crate::alerts::receivers::Receiver;
use crate::metrics::Metrics;
use crate::test_support::openmetrics;
use batch_export_system::Token;

/// Receivers with a dispatcher at work.
struct Scene {
    kept: Kept,
    alerts: Alerts,
    metrics: Metrics,
    receivers: watch::Sender<Receivers>,
    token: Token,
    dispatched: JoinHandle<()>,
}

fn now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Moment(since.unwrap().as_micros() as i64)
}

fn scene(receivers: Vec<Receiver>) -> Scene {
    let kept = kept();
    let (alerts, metrics, token) = (kept.alerts(), Metrics::new(), Token::new());
    let (sender, receivers) = watch::channel(Receivers::of(receivers));
    let dispatched = tokio::spawn(dispatch(alerts.clone(), receivers, metrics.clone(), now, token.clone()));
    Scene {
        kept,
        alerts,
        metrics,
        receivers: sender,
        token,
        dispatched,
    }
}

impl Scene {
    /// Raises an alert about a destination.
    fn raise(&self, destination: &str) {
        let late = Late {
            interval: Interval::new(None, Moment(0)).unwrap(),
            intervals: 1,
            run_id: None,
            error: None,
        };
        self.alerts.late(destination, Some(&late), now()).unwrap();
    }

    fn counted(&self, name: &str) -> f64 {
        let series = openmetrics::parse(&self.metrics.encode().unwrap()).unwrap();
        series.value(&format!("batch_export_{name}")).unwrap()
    }

    async fn end(self) -> Kept {
        self.token.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), self.dispatched).await;
        ended.expect("the dispatcher ends").unwrap();
        self.kept
    }
}

type Requests = tokio::sync::mpsc::UnboundedReceiver<super::receivers::Came>;

async fn next(requests: &mut Requests) -> serde_json::Value {
    let came = tokio::time::timeout(Duration::from_secs(8), requests.recv()).await;
    serde_json::from_str(&came.expect("a request in time").unwrap().body).unwrap()
}

/// Whether nothing more comes for a while.
async fn is_quiet(requests: &mut Requests) -> bool {
    tokio::time::timeout(Duration::from_millis(1_500), requests.recv())
        .await
        .is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_fail_or_hang_do_not_concern_the_others() {
    let (good, mut at_good) = webhook(responds(&["200 OK"])).await;
    let (bad, mut at_bad) = webhook(responds(&["500 No", "500 No", "200 OK"])).await;
    let (stuck, mut at_stuck) = webhook(Manner::Hangs).await;
    let scene = scene(vec![
        hook(&stuck, None),
        hook(&bad, None),
        hook(&good, None),
        hook(&good, None),
    ]);
    scene.raise("archive");
    let first = next(&mut at_good).await;
    assert_eq!(
        (&first["kind"], &first["destination"]),
        (&"late".into(), &"archive".into())
    );
    // The same alert again and again, until it is taken.
    for _ in 0..3 {
        assert_eq!(next(&mut at_bad).await, first);
    }
    assert_eq!(next(&mut at_stuck).await, first);
    scene.raise("mirror");
    assert_eq!(next(&mut at_good).await["destination"], "mirror");
    assert_eq!(next(&mut at_bad).await["destination"], "mirror");
    assert!(is_quiet(&mut at_good).await && is_quiet(&mut at_bad).await);
    assert!(at_stuck.try_recv().is_err(), "the second one waits for the first");
    assert_eq!(scene.counted("alerts_sent_total"), 4.0);
    assert_eq!(scene.counted("alert_errors_total"), 2.0);
    let kept = scene.end().await;
    // After a restart nobody is told again who was told.
    let ids = Receivers::of(vec![hook(&stuck, None), hook(&bad, None), hook(&good, None)]).ids();
    let waits = |id: &str| kept.ledger.next_delivery(id, Moment(i64::MAX)).unwrap().is_some();
    assert_eq!(ids.iter().map(|id| waits(id)).collect::<Vec<_>>(), [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_come_and_go_with_the_configuration() {
    let (gone, mut at_gone) = webhook(responds(&["500 No"])).await;
    let (new, mut at_new) = webhook(responds(&["200 OK"])).await;
    let scene = scene(vec![hook(&gone, None)]);
    scene.raise("archive");
    next(&mut at_gone).await;
    scene.receivers.send(Receivers::of(vec![hook(&new, None)])).unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    while at_gone.try_recv().is_ok() {}
    scene.raise("mirror");
    // What was raised before it was there is not told to it.
    assert_eq!(next(&mut at_new).await["destination"], "mirror");
    assert!(is_quiet(&mut at_new).await && is_quiet(&mut at_gone).await);
    scene.receivers.send(Receivers::default()).unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    scene.raise("third");
    let kept = scene.end().await;
    assert!(kept.ledger.causes().unwrap().len() == 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_nobody_heard_of_for_a_day_is_no_news() {
    let kept = kept();
    let late = Late {
        interval: Interval::new(None, Moment(0)).unwrap(),
        intervals: 1,
        run_id: None,
        error: None,
    };
    let then = |ago: Duration| Moment(now().0 - ago.as_micros() as i64);
    let alerts = kept.alerts();
    let (old, recent) = (then(GIVE_UP_AFTER + Duration::from_secs(60)), then(GIVE_UP_AFTER / 2));
    alerts.late("old", Some(&late), old).unwrap();
    alerts.late("recent", Some(&late), recent).unwrap();
    kept.ledger
        .address(&["reader".to_owned()], GIVE_UP_AFTER, now())
        .unwrap();
    let first = kept.ledger.next_delivery("reader", now()).unwrap().unwrap();
    assert!(first.body.contains("recent") && first.alert == 2, "{first:?}");
}

#[tokio::test]
async fn a_test_tells_of_each_receiver_whether_it_works() {
    let (good, mut at_good) = webhook(responds(&["200 OK"])).await;
    let (bad, _at_bad) = webhook(responds(&["403 Forbidden"])).await;
    let receivers = Receivers::of(vec![hook(&bad, None), hook(&good, Some("hush"))]);
    let tested = receivers.test(Moment(0)).await;
    let place = |url: &str| format!("webhook {}", url.split("/canary").next().unwrap());
    assert_eq!(tested[0].receiver, place(&bad));
    let said = tested[0].error.as_ref().unwrap().in_one_text();
    assert!(said.contains("403 Forbidden; check that the URL"), "{said}");
    assert_eq!((&tested[1].receiver, &tested[1].error), (&place(&good), &None));
    let body = next(&mut at_good).await;
    let expect = serde_json::json!({
        "id": null,
        "text": "batch-export: this is a test: alerts arrive here\nAt 1970-01-01T00:00:00+00:00",
        "kind": "test",
        "destination": null,
        "run_id": null,
        "interval": null,
        "at": "1970-01-01T00:00:00+00:00",
        "message": "this is a test: alerts arrive here",
        "hint": null,
        "host_version": env!("CARGO_PKG_VERSION"),
    });
    assert_eq!(body, expect);
}
