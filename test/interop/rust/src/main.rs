//! The Rust client for the remoting protocol (`rocketmq-client-rust`) on a broker: every kind of send,
//! timers and their recall, transactions; push with tags and SQL, in order, by POP, with retry. One line
//! of JSON a result on stdout.
//!
//!     peer NAMESRV (RustMany, RustOrder and RustTransaction are there already)
#![recursion_limit = "512"]

use std::any::Any;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocketmq_client_rust::*;
use rocketmq_model::common::consumer::consume_from_where::ConsumeFromWhere;
use rocketmq_model::common::message::message_ext::MessageExt;
use rocketmq_model::common::message::message_single::Message;
use rocketmq_model::common::message::MessageTrait;
use rocketmq_observability::TelemetryRuntimeGuard;
use rocketmq_runtime::RuntimeOwner;

/// What the consumers take in all, the messages that come again included.
const EXPECTED: usize = 20 + 20 + 3 + 18 + 2;

/// Bodies are letters, digits and blanks: they need no escaping.
fn body_of(message: &MessageExt) -> String {
    let body = message.body().unwrap_or_default();
    String::from_utf8_lossy(&body).chars().take(24).collect()
}

fn show_got(who: &str, message: &MessageExt) {
    let (body, queue, times) = (body_of(message), message.queue_id(), message.reconsume_times());
    println!("@{{\"kind\":\"got\",\"who\":\"{who}\",\"body\":\"{body}\",\"queueId\":{queue},\"times\":{times}}}");
}

struct Listener {
    who: &'static str,
    taken: Arc<AtomicUsize>,
    failed: Mutex<HashSet<String>>,
}

impl Listener {
    fn new(who: &'static str, taken: &Arc<AtomicUsize>) -> Self {
        Self { who, taken: taken.clone(), failed: Mutex::default() }
    }

    fn fails_now(&self, body: &str, wanted: &str) -> bool {
        body == wanted && self.failed.lock().unwrap().insert(body.to_string())
    }
}

impl MessageListenerConcurrently for Listener {
    fn consume_message(&self, messages: &[&MessageExt], _: &ConsumeConcurrentlyContext) -> ClientResult<ConsumeConcurrentlyStatus> {
        for message in messages {
            show_got(self.who, message);
            self.taken.fetch_add(1, Ordering::SeqCst);
            if self.fails_now(&body_of(message), "fail 4") {
                return Ok(ConsumeConcurrentlyStatus::ReconsumeLater);
            }
        }
        Ok(ConsumeConcurrentlyStatus::ConsumeSuccess)
    }
}

impl MessageListenerOrderly for Listener {
    fn consume_message(&self, messages: &[&MessageExt], context: &mut ConsumeOrderlyContext) -> ClientResult<ConsumeOrderlyStatus> {
        for message in messages {
            if self.fails_now(&body_of(message), "1 3") {
                context.set_suspend_current_queue_time_millis(100);
                return Ok(ConsumeOrderlyStatus::SuspendCurrentQueueAMoment);
            }
            show_got(self.who, message);
            self.taken.fetch_add(1, Ordering::SeqCst);
        }
        Ok(ConsumeOrderlyStatus::Success)
    }
}

struct Decider;

impl TransactionListener for Decider {
    fn execute_local_transaction(&self, message: &dyn MessageTrait, _: Option<&(dyn Any + Send + Sync)>) -> LocalTransactionState {
        let body = message.get_body().map(|body| body.to_vec()).unwrap_or_default();
        if body.starts_with(b"commit") {
            LocalTransactionState::CommitMessage
        } else if body.starts_with(b"rollback") {
            LocalTransactionState::RollbackMessage
        } else {
            LocalTransactionState::Unknown
        }
    }

    fn check_local_transaction(&self, message: &MessageExt) -> LocalTransactionState {
        println!("@{{\"kind\":\"asked\",\"body\":\"{}\"}}", body_of(message));
        if body_of(message).contains("commit") {
            LocalTransactionState::CommitMessage
        } else {
            LocalTransactionState::RollbackMessage
        }
    }
}

fn many(body: &str) -> MessageOf {
    Message::builder().topic("RustMany").tags("A").body(body.as_bytes().to_vec())
}

type MessageOf = rocketmq_model::common::message::message_builder::MessageBuilder;

async fn send(runtime: &Arc<ClientRuntime>, servers: &str) -> ClientResult<(DefaultMQProducer, TransactionMQProducer)> {
    let mut producer =
        DefaultMQProducer::builder(runtime.clone()).producer_group("RustProducer").name_server_addr(servers.to_string()).build();
    producer.start().await?;
    for i in 0..10 {
        let body = format!("{} {i}", if i == 4 { "fail" } else { "many" });
        let message = many(&body).tags(["A", "B"][i % 2]).key(format!("k{i}")).raw_property("price", i.to_string()).unwrap();
        producer.send(message.build_unchecked()).await?;
    }
    producer.send(many(&"long ".repeat(5000)).build_unchecked()).await?;
    producer.send_batch((0..5).map(|i| many(&format!("batch {i}")).build_unchecked()).collect()).await?;
    producer.send_oneway(many("oneway").build_unchecked()).await?;
    for i in 0..6usize {
        for key in 0..3usize {
            let message = Message::builder().topic("RustOrder").body(format!("{key} {i}").into_bytes()).build_unchecked();
            producer.send_with_selector(message, |queues, _, at: &usize| Some(queues[at % queues.len()].clone()), key).await?;
        }
    }
    producer.send(many("timer").delay_millis(2500).build_unchecked()).await?;
    let recalled = producer.send(many("recalled").delay_millis(4000).build_unchecked()).await?;
    if let Some(handle) = recalled.as_ref().and_then(|result| result.recall_handle()) {
        producer.recall_message("RustMany", handle).await?;
        println!("@{{\"kind\":\"recalled\"}}");
    }
    producer.send(many("level 1").delay_level(1).build_unchecked()).await?;

    let mut transactions = TransactionMQProducer::builder(runtime.clone())
        .producer_group("RustTransactions")
        .name_server_addr(servers.to_string())
        .topics(vec!["RustTransaction"])
        .transaction_listener(Decider)
        .build();
    transactions.start().await?;
    for body in ["commit now", "rollback now", "open commit", "open rollback"] {
        let message = Message::builder().topic("RustTransaction").body_slice(body.as_bytes()).build_unchecked();
        transactions.send_message_in_transaction::<(), _>(message, None).await?;
    }
    Ok((producer, transactions))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: peer NAMESRV")?;
    let owner = RuntimeOwner::new()?;
    let telemetry = TelemetryRuntimeGuard::noop();
    let runtime = ClientRuntime::try_new(owner.root_context().component("peer"), ClientRuntimeConfig::default(), telemetry.handle())?;
    let taken = Arc::new(AtomicUsize::new(0));
    let result: ClientResult<()> = owner.block_on(async {
        let (mut producer, mut transactions) = send(&runtime, &servers).await?;
        let mut consumers = Vec::new();
        for (who, topic, sql) in [
            ("many", "RustMany", None),
            ("sql", "RustMany", Some("price > 6")),
            ("order", "RustOrder", None),
            ("transaction", "RustTransaction", None),
            ("pop", "RustMany", None),
        ] {
            let mut consumer = DefaultMQPushConsumer::builder(runtime.clone())
                .consumer_group(format!("Rust-{who}"))
                .name_server_addr(servers.clone())
                .client_rebalance(who != "pop")
                .build();
            match sql {
                Some(sql) => consumer.subscribe_with_selector(topic, Some(MessageSelector::by_sql(sql))).await?,
                // With blanks around the bars this client gets the hash of the second tag wrong.
                None => consumer.subscribe(topic, if who == "many" { "A||B" } else { "*" }).await?,
            }
            consumer.set_consume_from_where(ConsumeFromWhere::ConsumeFromFirstOffset);
            if who == "order" {
                consumer.register_message_listener_orderly(Listener::new(who, &taken));
            } else {
                consumer.register_message_listener_concurrently(Listener::new(who, &taken));
            }
            consumer.start().await?;
            consumers.push(consumer);
        }
        let deadline = Instant::now() + Duration::from_secs(90);
        while taken.load(Ordering::SeqCst) < EXPECTED && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Time for what should not come.
        tokio::time::sleep(Duration::from_secs(2)).await;
        for mut consumer in consumers {
            consumer.shutdown().await;
        }
        transactions.shutdown().await;
        producer.shutdown().await;
        println!("@{{\"kind\":\"done\"}}");
        Ok(())
    });
    Ok(result?)
}
