import com.alibaba.fastjson2.JSONObject;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.impl.consumer.DefaultMQPushConsumerImpl;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/** push.start · received · assignment · stop: the official push consumer. */
final class Consuming {
    private static final class Push {
        final DefaultMQPushConsumer consumer;
        final List<JSONObject> received = new ArrayList<>();
        /** How many deliveries still fail with RECONSUME_LATER. */
        int failures;
        /** A message with this body fails each time; null: none does. */
        final String poison;
        /** How long the listener works on a message. */
        final long slowMs;

        Push(DefaultMQPushConsumer consumer, JSONObject request) {
            this.consumer = consumer;
            this.failures = request.getIntValue("failures", 0);
            this.poison = request.getString("poison");
            this.slowMs = request.getLongValue("slowMs", 0);
        }

        boolean take(List<MessageExt> messages) {
            boolean done = note(messages);
            try {
                if (slowMs > 0) Thread.sleep(slowMs);
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
            return done;
        }

        private synchronized boolean note(List<MessageExt> messages) {
            for (MessageExt message : messages) {
                received.add(Peer.describe(message).fluentPut("at", System.currentTimeMillis()));
            }
            notifyAll();
            for (MessageExt message : messages) {
                String body = new String(message.getBody(), StandardCharsets.UTF_8);
                if (body.equals(poison)) return false;
            }
            if (failures <= 0) return true;
            failures--;
            return false;
        }
    }

    private static final Map<String, Push> CONSUMERS = new ConcurrentHashMap<>();

    static void register(Map<String, Peer.Call> calls) {
        calls.put("push.start", Consuming::start);
        calls.put("push.received", Consuming::received);
        calls.put("push.assignment", Consuming::assignment);
        calls.put("push.popAssignment", Consuming::popAssignment);
        calls.put("push.clientId", request -> push(request).consumer.buildMQClientId());
        calls.put("push.persist", request -> {
            push(request).consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            return true;
        });
        calls.put("push.stop", request -> {
            CONSUMERS.remove(request.getString("name")).consumer.shutdown();
            return true;
        });
    }

    private static Push push(JSONObject request) {
        Push push = CONSUMERS.get(request.getString("name"));
        if (push == null) throw new IllegalArgumentException("no consumer " + request.get("name"));
        return push;
    }

    private static Object start(JSONObject request) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(request.getString("group"));
        consumer.setNamesrvAddr(request.getString("namesrv"));
        consumer.setInstanceName(request.getString("name"));
        consumer.setVipChannelEnabled(false);
        consumer.setEnableTrace(request.getBooleanValue("trace", false));
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(2);
        String from = request.getString("from");
        if (from != null) consumer.setConsumeFromWhere(ConsumeFromWhere.valueOf(from));
        if ("BROADCASTING".equals(request.getString("model"))) {
            consumer.setMessageModel(MessageModel.BROADCASTING);
        }
        if (request.get("maxReconsumeTimes") != null) {
            consumer.setMaxReconsumeTimes(request.getIntValue("maxReconsumeTimes"));
        }
        if (request.getString("sql") != null) {
            consumer.subscribe(request.getString("topic"), MessageSelector.bySql(request.getString("sql")));
        } else {
            String expression = request.getString("expression");
            consumer.subscribe(request.getString("topic"), expression == null ? "*" : expression);
        }
        if (request.get("suspendMs") != null) {
            consumer.setSuspendCurrentQueueTimeMillis(request.getLongValue("suspendMs"));
        }
        if (request.getBooleanValue("pop", false)) {
            // The broker divides the queues, and says whether they are pulled or taken by POP.
            consumer.setClientRebalance(false);
            consumer.setPopInvisibleTime(request.getLongValue("invisibleMs", 60_000));
            // What the listener refuses comes again after 1 s instead of 10 s and more.
            Field levels = DefaultMQPushConsumerImpl.class.getDeclaredField("popDelayLevel");
            levels.setAccessible(true);
            Arrays.fill((int[]) levels.get(consumer.getDefaultMQPushConsumerImpl()), 1);
        }
        Push push = new Push(consumer, request);
        if (request.getBooleanValue("orderly", false)) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) ->
                push.take(messages) ? ConsumeOrderlyStatus.SUCCESS
                    : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
                push.take(messages) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS
                    : ConsumeConcurrentlyStatus.RECONSUME_LATER);
        }
        CONSUMERS.put(request.getString("name"), push);
        consumer.start();
        return consumer.buildMQClientId();
    }

    /** Waits until {atLeast} messages have come (or {timeoutMs}), answers all that came so far. */
    private static Object received(JSONObject request) throws Exception {
        Push push = push(request);
        long deadline = System.nanoTime() + request.getLongValue("timeoutMs", 30_000) * 1_000_000L;
        synchronized (push) {
            while (push.received.size() < request.getIntValue("atLeast", 0)) {
                long leftMs = (deadline - System.nanoTime()) / 1_000_000L;
                if (leftMs <= 0) break;
                push.wait(leftMs);
            }
            return Peer.array(new ArrayList<>(push.received));
        }
    }

    /** Waits until the consumer holds {count} queues of the topic, answers the queue ids it holds. */
    private static Object assignment(JSONObject request) throws Exception {
        Push push = push(request);
        long deadline = System.nanoTime() + request.getLongValue("timeoutMs", 30_000) * 1_000_000L;
        while (true) {
            List<Integer> held = new ArrayList<>();
            for (MessageQueue queue : push.consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl()
                .getProcessQueueTable().keySet()) {
                if (queue.getTopic().equals(request.getString("topic"))) held.add(queue.getQueueId());
            }
            held.sort(null);
            if (held.size() == request.getIntValue("count") || System.nanoTime() > deadline) return held;
            Thread.sleep(20);
        }
    }

    /** Waits until the consumer takes from {count} queues of the topic by POP, answers their ids; -1 is all of a broker. */
    private static Object popAssignment(JSONObject request) throws Exception {
        Push push = push(request);
        long deadline = System.nanoTime() + request.getLongValue("timeoutMs", 30_000) * 1_000_000L;
        while (true) {
            List<Integer> held = new ArrayList<>();
            for (MessageQueue queue : push.consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl()
                .getPopProcessQueueTable().keySet()) {
                if (queue.getTopic().equals(request.getString("topic"))) held.add(queue.getQueueId());
            }
            held.sort(null);
            if (held.size() == request.getIntValue("count") || System.nanoTime() > deadline) return held;
            Thread.sleep(20);
        }
    }

    private Consuming() {
    }
}
