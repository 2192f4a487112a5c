import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** producer.start · send (sync, async, oneway, batch) · transaction · pressure · stop */
final class Producing {
    private static final Map<String, DefaultMQProducer> PRODUCERS = new ConcurrentHashMap<>();

    static void register(Map<String, Peer.Call> calls) {
        calls.put("producer.start", Producing::start);
        calls.put("producer.send", Producing::send);
        calls.put("producer.recall", request ->
            producer(request).recallMessage(request.getString("topic"), request.getString("handle")));
        calls.put("transaction.start", Producing::startTransacting);
        calls.put("transaction.send", Producing::transaction);
        calls.put("transaction.asked", Producing::asked);
        calls.put("transaction.decide", request -> {
            transacting(request).undecided.countDown();
            return true;
        });
        calls.put("transaction.stop", request -> {
            TRANSACTING.remove(request.getString("name")).producer.shutdown();
            return true;
        });
        calls.put("producer.pressure", Producing::pressure);
        calls.put("producer.queues", request -> {
            List<JSONObject> queues = new ArrayList<>();
            for (MessageQueue queue : producer(request).fetchPublishMessageQueues(request.getString("topic"))) {
                queues.add(Peer.describe(queue));
            }
            return Peer.array(queues);
        });
        calls.put("producer.stop", request -> {
            PRODUCERS.remove(request.getString("name")).shutdown();
            return true;
        });
    }

    private static DefaultMQProducer producer(JSONObject request) {
        DefaultMQProducer producer = PRODUCERS.get(request.getString("name"));
        if (producer == null) throw new IllegalArgumentException("no producer " + request.get("name"));
        return producer;
    }

    private static Object start(JSONObject request) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(request.getString("group"));
        producer.setNamesrvAddr(request.getString("namesrv"));
        producer.setInstanceName(request.getString("name"));
        producer.setVipChannelEnabled(request.getBooleanValue("vip", false));
        producer.setSendMsgTimeout(request.getIntValue("timeoutMs", 5000));
        producer.setEnableTrace(request.getBooleanValue("trace", false));
        producer.setRetryTimesWhenSendFailed(request.getIntValue("retries", 2));
        producer.setCompressMsgBodyOverHowmuch(request.getIntValue("compressOver", 4096));
        if (request.getString("compressType") != null) {
            producer.setCompressType(CompressionType.of(request.getString("compressType")));
        }
        producer.start();
        PRODUCERS.put(request.getString("name"), producer);
        return true;
    }

    private static Message message(JSONObject request, JSONObject spec) {
        Message message = new Message(request.getString("topic"), Peer.bodyOf(spec));
        if (spec.getString("tags") != null) message.setTags(spec.getString("tags"));
        if (spec.getString("keys") != null) message.setKeys(spec.getString("keys"));
        if (spec.get("flag") != null) message.setFlag(spec.getIntValue("flag"));
        if (spec.get("priority") != null) message.setPriority(spec.getIntValue("priority"));
        if (spec.get("delayLevel") != null) message.setDelayTimeLevel(spec.getIntValue("delayLevel"));
        if (spec.get("deliverInMs") != null) message.setDelayTimeMs(spec.getLongValue("deliverInMs"));
        JSONObject properties = spec.getJSONObject("properties");
        if (properties != null) {
            for (String name : properties.keySet()) message.putUserProperty(name, properties.getString(name));
        }
        return message;
    }

    private static JSONObject describe(SendResult result) {
        JSONObject out = new JSONObject();
        out.put("status", result.getSendStatus().name());
        out.put("messageId", result.getMsgId());
        out.put("offsetMessageId", result.getOffsetMsgId());
        out.put("queueId", result.getMessageQueue().getQueueId());
        out.put("broker", result.getMessageQueue().getBrokerName());
        out.put("queueOffset", result.getQueueOffset());
        out.put("region", result.getRegionId());
        out.put("recallHandle", result.getRecallHandle());
        return out;
    }

    private static Object send(JSONObject request) throws Throwable {
        DefaultMQProducer producer = producer(request);
        JSONArray specs = request.getJSONArray("messages");
        MessageQueue queue = request.get("queueId") == null ? null : Peer.queueOf(request);
        String mode = request.getString("mode");
        List<JSONObject> results = new ArrayList<>();
        if ("batch".equals(mode)) {
            List<Message> batch = new ArrayList<>();
            for (int i = 0; i < specs.size(); i++) batch.add(message(request, specs.getJSONObject(i)));
            SendResult result = queue == null ? producer.send(batch) : producer.send(batch, queue);
            return describe(result);
        }
        if ("async".equals(mode)) {
            CountDownLatch latch = new CountDownLatch(specs.size());
            JSONObject[] slots = new JSONObject[specs.size()];
            for (int i = 0; i < specs.size(); i++) {
                int slot = i;
                SendCallback callback = new SendCallback() {
                    @Override
                    public void onSuccess(SendResult result) {
                        slots[slot] = describe(result);
                        latch.countDown();
                    }

                    @Override
                    public void onException(Throwable error) {
                        slots[slot] = Peer.describe(error);
                        latch.countDown();
                    }
                };
                Message message = message(request, specs.getJSONObject(i));
                if (queue == null) producer.send(message, callback);
                else producer.send(message, queue, callback);
            }
            if (!latch.await(30, TimeUnit.SECONDS)) throw new IllegalStateException("answers missing");
            for (JSONObject slot : slots) results.add(slot);
            return Peer.array(results);
        }
        for (int i = 0; i < specs.size(); i++) {
            Message message = message(request, specs.getJSONObject(i));
            if ("oneway".equals(mode)) {
                if (queue == null) producer.sendOneway(message);
                else producer.sendOneway(message, queue);
                results.add(new JSONObject().fluentPut("messageId",
                    message.getProperty("UNIQ_KEY")));
            } else if (specs.getJSONObject(i).getString("orderKey") != null) {
                results.add(describe(producer.send(message, new SelectMessageQueueByHash(),
                    specs.getJSONObject(i).getString("orderKey"))));
            } else {
                results.add(describe(queue == null ? producer.send(message) : producer.send(message, queue)));
            }
        }
        return Peer.array(results);
    }

    /** A transactional producer that decides {local}, and when it is asked {check}. */
    private static final class Transacting implements TransactionListener {
        final TransactionMQProducer producer;
        final LocalTransactionState local;
        final LocalTransactionState check;
        /** It decides once this is down: at once, or when transaction.decide says so. */
        final CountDownLatch undecided;
        /** Unique ids of the messages that the broker asked about. */
        final List<String> asked = new ArrayList<>();

        Transacting(JSONObject request) {
            producer = new TransactionMQProducer(request.getString("group"));
            local = LocalTransactionState.valueOf(request.getString("local"));
            check = LocalTransactionState.valueOf(request.getString("check"));
            undecided = new CountDownLatch(request.getBooleanValue("waits", false) ? 1 : 0);
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            try {
                undecided.await();
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
            return local;
        }

        @Override
        public synchronized LocalTransactionState checkLocalTransaction(MessageExt message) {
            asked.add(message.getTransactionId());
            return check;
        }
    }

    private static final Map<String, Transacting> TRANSACTING = new ConcurrentHashMap<>();

    private static Transacting transacting(JSONObject request) {
        Transacting found = TRANSACTING.get(request.getString("name"));
        if (found == null) throw new IllegalArgumentException("no producer " + request.get("name"));
        return found;
    }

    private static Object startTransacting(JSONObject request) throws Exception {
        Transacting one = new Transacting(request);
        one.producer.setNamesrvAddr(request.getString("namesrv"));
        one.producer.setInstanceName(request.getString("name"));
        one.producer.setEnableTrace(request.getBooleanValue("trace", false));
        one.producer.setTransactionListener(one);
        one.producer.start();
        TRANSACTING.put(request.getString("name"), one);
        return true;
    }

    /** A transactional send; answers what the broker said to the half message. */
    private static Object transaction(JSONObject request) throws Throwable {
        Message message = message(request, request);
        String immunity = request.getString("immunitySeconds");
        if (immunity != null) message.putUserProperty("CHECK_IMMUNITY_TIME_IN_SECONDS", immunity);
        SendResult result = transacting(request).producer.sendMessageInTransaction(message, null);
        return describe(result).fluentPut("transactionId", result.getTransactionId());
    }

    private static Object asked(JSONObject request) {
        Transacting one = transacting(request);
        synchronized (one) {
            return new JSONArray(one.asked);
        }
    }

    /** Closed-loop load with many threads over one producer: {threads, seconds, warmupSeconds, sizeBytes}. */
    private static Object pressure(JSONObject request) throws Exception {
        DefaultMQProducer producer = producer(request);
        int threads = request.getIntValue("threads", 80);
        byte[] body = new byte[request.getIntValue("sizeBytes", 500)];
        java.util.Arrays.fill(body, (byte) 'x');
        AtomicLong done = new AtomicLong();
        AtomicLong failed = new AtomicLong();
        AtomicReference<String> firstError = new AtomicReference<>();
        boolean[] stop = {false};
        Thread[] senders = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            senders[i] = new Thread(() -> {
                while (!stop[0]) {
                    try {
                        producer.send(new Message(request.getString("topic"), body));
                        done.incrementAndGet();
                    } catch (Exception error) {
                        failed.incrementAndGet();
                        firstError.compareAndSet(null, Peer.describe(error).getString("message"));
                    }
                }
            });
            senders[i].start();
        }
        Thread.sleep(request.getIntValue("warmupSeconds", 5) * 1000L);
        long before = done.get();
        long from = System.nanoTime();
        Thread.sleep(request.getIntValue("seconds", 10) * 1000L);
        double seconds = (System.nanoTime() - from) / 1e9;
        long count = done.get() - before;
        stop[0] = true;
        for (Thread sender : senders) sender.join(10_000);
        return new JSONObject().fluentPut("messages", count).fluentPut("failed", failed.get())
            .fluentPut("firstError", firstError.get()).fluentPut("ratePerSecond", Math.round(count / seconds));
    }

    private Producing() {
    }
}
