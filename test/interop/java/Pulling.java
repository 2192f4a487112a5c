import com.alibaba.fastjson2.JSONObject;
import java.io.PrintWriter;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** litepull.start · poll · seek · committed · stop, and pull.start · fetch · offsets · stop. */
final class Pulling {
    private static final Map<String, DefaultLitePullConsumer> LITE = new ConcurrentHashMap<>();
    private static final Map<String, DefaultMQPullConsumer> PULL = new ConcurrentHashMap<>();

    static void register(Map<String, Peer.Call> calls) {
        calls.put("litepull.start", Pulling::startLite);
        calls.put("litepull.poll", Pulling::poll);
        calls.put("litepull.seek", request -> {
            lite(request).seek(Peer.queueOf(request), request.getLongValue("offset"));
            return true;
        });
        calls.put("litepull.commit", request -> {
            lite(request).commitSync();
            return true;
        });
        calls.put("litepull.committed", request -> lite(request).committed(Peer.queueOf(request)));
        calls.put("litepull.offsetForTimestamp", request -> lite(request)
            .offsetForTimestamp(Peer.queueOf(request), request.getLong("timestamp")));
        calls.put("litepull.stop", request -> {
            LITE.remove(request.getString("name")).shutdown();
            return true;
        });
        calls.put("pull.start", Pulling::startPull);
        calls.put("pull.fetch", Pulling::fetch);
        calls.put("pull.offsets", Pulling::offsets);
        calls.put("pull.report", request -> {
            DefaultMQPullConsumer consumer = pull(request);
            consumer.getDefaultMQPullConsumerImpl().getOffsetStore().updateConsumeOffsetToBroker(
                Peer.queueOf(request), request.getLongValue("offset"), false);
            return true;
        });
        calls.put("pull.dump", Pulling::dump);
        calls.put("pull.stop", request -> {
            PULL.remove(request.getString("name")).shutdown();
            return true;
        });
    }

    private static DefaultLitePullConsumer lite(JSONObject request) {
        return LITE.get(request.getString("name"));
    }

    private static DefaultMQPullConsumer pull(JSONObject request) {
        return PULL.get(request.getString("name"));
    }

    private static Object startLite(JSONObject request) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(request.getString("group"));
        consumer.setNamesrvAddr(request.getString("namesrv"));
        consumer.setInstanceName(request.getString("name"));
        consumer.setVipChannelEnabled(false);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(request.getBooleanValue("autoCommit", true));
        boolean assign = request.getBooleanValue("assign", false);
        if (!assign) {
            String expression = request.getString("expression");
            if (request.getString("sql") != null) {
                consumer.subscribe(request.getString("topic"), MessageSelector.bySql(request.getString("sql")));
            } else consumer.subscribe(request.getString("topic"), expression == null ? "*" : expression);
        }
        consumer.start();
        if (assign) {
            Collection<MessageQueue> queues = consumer.fetchMessageQueues(request.getString("topic"));
            consumer.assign(queues);
            for (MessageQueue queue : queues) consumer.seekToBegin(queue);
        }
        LITE.put(request.getString("name"), consumer);
        return true;
    }

    private static Object poll(JSONObject request) {
        DefaultLitePullConsumer consumer = lite(request);
        long deadline = System.nanoTime() + request.getLongValue("timeoutMs", 20_000) * 1_000_000L;
        List<JSONObject> all = new ArrayList<>();
        while (all.size() < request.getIntValue("atLeast", 1) && System.nanoTime() < deadline) {
            for (MessageExt message : consumer.poll(500)) all.add(Peer.describe(message));
        }
        return Peer.array(all);
    }

    private static Object startPull(JSONObject request) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(request.getString("group"));
        consumer.setNamesrvAddr(request.getString("namesrv"));
        consumer.setInstanceName(request.getString("name"));
        consumer.setVipChannelEnabled(false);
        consumer.start();
        PULL.put(request.getString("name"), consumer);
        return true;
    }

    private static Object fetch(JSONObject request) throws Exception {
        String expression = request.getString("expression");
        String sql = request.getString("sql");
        MessageSelector selector = sql == null
            ? MessageSelector.byTag(expression == null ? "*" : expression) : MessageSelector.bySql(sql);
        PullResult result = pull(request).pull(Peer.queueOf(request), selector,
            request.getLongValue("offset"), request.getIntValue("max", 32));
        List<JSONObject> messages = new ArrayList<>();
        if (result.getMsgFoundList() != null) {
            for (MessageExt message : result.getMsgFoundList()) messages.add(Peer.describe(message));
        }
        return new JSONObject()
            .fluentPut("status", result.getPullStatus().name())
            .fluentPut("next", result.getNextBeginOffset())
            .fluentPut("min", result.getMinOffset())
            .fluentPut("max", result.getMaxOffset())
            .fluentPut("messages", Peer.array(messages));
    }

    /**
     * Reads {queues} queues of a topic to their ends and writes a line for each message to {file}:
     * queue id, queue offset, unique id, MD5 of the body. Answers how many.
     */
    private static Object dump(JSONObject request) throws Exception {
        DefaultMQPullConsumer consumer = pull(request);
        long count = 0;
        try (PrintWriter out = new PrintWriter(request.getString("file"), "UTF-8")) {
            for (int queueId = 0; queueId < request.getIntValue("queues"); queueId++) {
                MessageQueue queue = new MessageQueue(request.getString("topic"),
                    request.getString("broker"), queueId);
                long offset = consumer.minOffset(queue);
                while (true) {
                    PullResult result = consumer.pull(queue, "*", offset, 32);
                    if (result.getMsgFoundList() == null) break;
                    for (MessageExt message : result.getMsgFoundList()) {
                        out.println(queueId + " " + message.getQueueOffset() + " " + message.getMsgId()
                            + " " + hex(MessageDigest.getInstance("MD5").digest(message.getBody())));
                        count++;
                    }
                    offset = result.getNextBeginOffset();
                }
            }
        }
        return count;
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte octet : bytes) text.append(String.format("%02x", octet));
        return text.toString();
    }

    private static Object offsets(JSONObject request) throws Exception {
        DefaultMQPullConsumer consumer = pull(request);
        MessageQueue queue = Peer.queueOf(request);
        JSONObject out = new JSONObject();
        out.put("min", consumer.minOffset(queue));
        out.put("max", consumer.maxOffset(queue));
        out.put("reported", consumer.fetchConsumeOffset(queue, true));
        out.put("earliest", consumer.earliestMsgStoreTime(queue));
        if (request.get("timestamp") != null) {
            out.put("atTime", consumer.searchOffset(queue, request.getLongValue("timestamp")));
        }
        return out;
    }

    private Pulling() {
    }
}
