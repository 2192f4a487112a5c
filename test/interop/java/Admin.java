import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.admin.TopicOffset;
import org.apache.rocketmq.remoting.protocol.body.Connection;
import org.apache.rocketmq.remoting.protocol.body.ConsumeMessageDirectlyResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** admin.*: the official admin client, {namesrv} in each request. */
final class Admin {
    private interface Task {
        Object run(DefaultMQAdminExt admin, JSONObject request) throws Exception;
    }

    private static final Map<String, DefaultMQAdminExt> ADMINS = new ConcurrentHashMap<>();

    private static synchronized DefaultMQAdminExt admin(String namesrv) throws Exception {
        DefaultMQAdminExt admin = ADMINS.get(namesrv);
        if (admin != null) return admin;
        admin = new DefaultMQAdminExt();
        admin.setNamesrvAddr(namesrv);
        admin.setInstanceName("admin-" + ADMINS.size());
        admin.setVipChannelEnabled(false);
        admin.start();
        ADMINS.put(namesrv, admin);
        return admin;
    }

    private static void put(Map<String, Peer.Call> calls, String name, Task task) {
        calls.put("admin." + name, request -> task.run(admin(request.getString("namesrv")), request));
    }

    static void register(Map<String, Peer.Call> calls) {
        put(calls, "createTopic", (admin, request) -> {
            TopicConfig config = new TopicConfig(request.getString("topic"));
            config.setReadQueueNums(request.getIntValue("queues", 4));
            config.setWriteQueueNums(request.getIntValue("queues", 4));
            config.setPerm(request.getIntValue("perm", 6));
            if (request.containsKey("attributes")) {
                config.setAttributes(request.getObject("attributes", Map.class));
            }
            admin.createAndUpdateTopicConfig(request.getString("broker"), config);
            return true;
        });
        put(calls, "createTopicByKey", (admin, request) -> {
            admin.createTopic(request.getString("key"), request.getString("topic"),
                request.getIntValue("queues", 4), null);
            return true;
        });
        put(calls, "topicConfig", (admin, request) -> JSON.parseObject(RemotingSerializable.toJson(
            admin.examineTopicConfig(request.getString("broker"), request.getString("topic")), false)));
        put(calls, "allTopicConfig", (admin, request) -> new TreeSet<>(admin
            .getAllTopicConfig(request.getString("broker"), 5000).getTopicConfigTable().keySet()));
        put(calls, "userTopicConfig", (admin, request) -> new TreeSet<>(admin
            .getUserTopicConfig(request.getString("broker"), false, 5000).getTopicConfigTable().keySet()));
        put(calls, "deleteTopic", (admin, request) -> {
            admin.deleteTopicInBroker(Set.of(request.getString("broker")), request.getString("topic"));
            admin.deleteTopicInNameServer(Set.of(request.getString("namesrv")), request.getString("topic"));
            return true;
        });
        put(calls, "topics", (admin, request) -> new TreeSet<>(admin.fetchAllTopicList().getTopicList()));
        put(calls, "topicsOfCluster", (admin, request) -> new TreeSet<>(
            admin.fetchTopicsByCLuster(request.getString("cluster")).getTopicList()));
        put(calls, "route", (admin, request) -> JSON.parseObject(RemotingSerializable.toJson(
            admin.examineTopicRouteInfo(request.getString("topic")), false)));
        put(calls, "clusterInfo", (admin, request) -> JSON.parseObject(RemotingSerializable.toJson(
            admin.examineBrokerClusterInfo(), false)));
        put(calls, "runtimeInfo", (admin, request) -> new TreeMap<>(
            admin.fetchBrokerRuntimeStats(request.getString("broker")).getTable()));
        put(calls, "brokerConfig", (admin, request) -> {
            TreeMap<String, String> out = new TreeMap<>();
            Properties properties = admin.getBrokerConfig(request.getString("broker"));
            for (String name : properties.stringPropertyNames()) out.put(name, properties.getProperty(name));
            return out;
        });
        put(calls, "updateBrokerConfig", (admin, request) -> {
            Properties properties = new Properties();
            JSONObject values = request.getJSONObject("values");
            for (String name : values.keySet()) properties.setProperty(name, values.getString(name));
            admin.updateBrokerConfig(request.getString("broker"), properties);
            return true;
        });
        put(calls, "topicStats", Admin::topicStats);
        put(calls, "consumeStats", Admin::consumeStats);
        put(calls, "groupsOfTopic", (admin, request) -> new TreeSet<>(
            admin.queryTopicConsumeByWho(request.getString("topic")).getGroupList()));
        put(calls, "topicsOfGroup", (admin, request) -> new TreeSet<>(
            admin.queryTopicsByConsumer(request.getString("group")).getTopicList()));
        put(calls, "consumeTimeSpan", (admin, request) -> JSON.parseArray(JSON.toJSONString(
            admin.queryConsumeTimeSpan(request.getString("topic"), request.getString("group")))));
        put(calls, "consumerConnection", Admin::consumerConnection);
        put(calls, "producerConnection", (admin, request) -> {
            List<JSONObject> out = new ArrayList<>();
            for (Connection connection : admin.examineProducerConnectionInfo(
                request.getString("group"), request.getString("topic")).getConnectionSet()) {
                out.add(new JSONObject().fluentPut("clientId", connection.getClientId())
                    .fluentPut("language", String.valueOf(connection.getLanguage())));
            }
            return Peer.array(out);
        });
        put(calls, "allProducers", (admin, request) -> new TreeSet<>(
            admin.getAllProducerInfo(request.getString("broker")).getData().keySet()));
        put(calls, "runningInfo", (admin, request) -> {
            ConsumerRunningInfo info = admin.getConsumerRunningInfo(request.getString("group"),
                request.getString("clientId"), request.getBooleanValue("stack", false));
            JSONObject out = new JSONObject();
            out.put("type", info.getProperties().getProperty(ConsumerRunningInfo.PROP_CONSUME_TYPE));
            out.put("queues", info.getMqTable().size());
            out.put("stack", info.getJstack() != null);
            return out;
        });
        put(calls, "consumeDirectly", (admin, request) -> {
            ConsumeMessageDirectlyResult result = admin.consumeMessageDirectly(request.getString("group"),
                request.getString("clientId"), request.getString("topic"), request.getString("messageId"));
            return result.getConsumeResult().name();
        });
        put(calls, "resetOffset", (admin, request) -> {
            JSONObject out = new JSONObject();
            for (Map.Entry<MessageQueue, Long> entry : admin.resetOffsetByTimestamp(
                request.getString("topic"), request.getString("group"),
                request.getLongValue("timestamp"), true).entrySet()) {
                out.put(String.valueOf(entry.getKey().getQueueId()), entry.getValue());
            }
            return out;
        });
        put(calls, "resetQueue", (admin, request) -> {
            admin.resetOffsetByQueueId(request.getString("broker"), request.getString("group"),
                request.getString("topic"), request.getIntValue("queueId"), request.getLongValue("offset"));
            return true;
        });
        put(calls, "byKey", (admin, request) -> messages(admin.queryMessage(request.getString("topic"),
            request.getString("key"), 32, 0, Long.MAX_VALUE)));
        put(calls, "byUniqueKey", (admin, request) -> messages(admin.queryMessageByUniqKey(
            null, request.getString("topic"), request.getString("key"), 32, 0, Long.MAX_VALUE)));
        put(calls, "byId", (admin, request) -> {
            MessageExt message = admin.viewMessage(request.getString("topic"), request.getString("id"));
            return Peer.describe(message);
        });
        put(calls, "searchOffset", (admin, request) -> admin.searchOffset(Peer.queueOf(request),
            request.getLongValue("timestamp")));
        put(calls, "consumeQueue", (admin, request) -> {
            List<JSONObject> out = new ArrayList<>();
            admin.queryConsumeQueue(request.getString("address"), request.getString("topic"),
                request.getIntValue("queueId"), request.getLongValue("index"), request.getIntValue("count"),
                null).getQueueData().forEach(unit -> out.add(new JSONObject()
                    .fluentPut("physicalOffset", unit.getPhysicOffset())
                    .fluentPut("size", unit.getPhysicSize())
                    .fluentPut("tagsCode", unit.getTagsCode())));
            return Peer.array(out);
        });
        put(calls, "groupConfig", (admin, request) -> JSON.parseObject(RemotingSerializable.toJson(
            admin.examineSubscriptionGroupConfig(request.getString("broker"), request.getString("group")),
            false)));
        put(calls, "allGroups", (admin, request) -> new TreeSet<>(admin.getAllSubscriptionGroup(
            request.getString("broker"), 5000).getSubscriptionGroupTable().keySet()));
        put(calls, "updateGroup", (admin, request) -> {
            SubscriptionGroupConfig config = new SubscriptionGroupConfig();
            config.setGroupName(request.getString("group"));
            config.setRetryMaxTimes(request.getIntValue("retryMax", 16));
            config.setConsumeEnable(request.getBooleanValue("enable", true));
            admin.createAndUpdateSubscriptionGroupConfig(request.getString("broker"), config);
            return true;
        });
        put(calls, "deleteGroup", (admin, request) -> {
            admin.deleteSubscriptionGroup(request.getString("broker"), request.getString("group"), true);
            return true;
        });
        put(calls, "kvPut", (admin, request) -> {
            admin.createAndUpdateKvConfig(request.getString("space"), request.getString("key"),
                request.getString("value"));
            return true;
        });
        put(calls, "kvGet", (admin, request) -> admin.getKVConfig(request.getString("space"),
            request.getString("key")));
        put(calls, "brokerConsumeStats", (admin, request) -> {
            TreeSet<String> groups = new TreeSet<>();
            admin.fetchConsumeStatsInBroker(request.getString("broker"), false, 5000)
                .getConsumeStatsList().forEach(entry -> groups.addAll(entry.keySet()));
            return groups;
        });
    }

    private static Object messages(QueryResult result) {
        List<JSONObject> out = new ArrayList<>();
        for (MessageExt message : result.getMessageList()) out.add(Peer.describe(message));
        return Peer.array(out);
    }

    private static Object topicStats(DefaultMQAdminExt admin, JSONObject request) throws Exception {
        List<JSONObject> out = new ArrayList<>();
        for (Map.Entry<MessageQueue, TopicOffset> entry : admin.examineTopicStats(
            request.getString("topic")).getOffsetTable().entrySet()) {
            out.add(Peer.describe(entry.getKey())
                .fluentPut("min", entry.getValue().getMinOffset())
                .fluentPut("max", entry.getValue().getMaxOffset())
                .fluentPut("lastUpdate", entry.getValue().getLastUpdateTimestamp()));
        }
        out.sort((a, b) -> a.getIntValue("queueId") - b.getIntValue("queueId"));
        return Peer.array(out);
    }

    private static Object consumeStats(DefaultMQAdminExt admin, JSONObject request) throws Exception {
        ConsumeStats stats = admin.examineConsumeStats(request.getString("group"));
        List<JSONObject> out = new ArrayList<>();
        for (Map.Entry<MessageQueue, OffsetWrapper> entry : stats.getOffsetTable().entrySet()) {
            out.add(Peer.describe(entry.getKey())
                .fluentPut("brokerOffset", entry.getValue().getBrokerOffset())
                .fluentPut("consumerOffset", entry.getValue().getConsumerOffset())
                .fluentPut("lastTimestamp", entry.getValue().getLastTimestamp()));
        }
        return new JSONObject().fluentPut("totalDiff", stats.computeTotalDiff())
            .fluentPut("queues", Peer.array(out));
    }

    private static Object consumerConnection(DefaultMQAdminExt admin, JSONObject request) throws Exception {
        ConsumerConnection connection = admin.examineConsumerConnectionInfo(request.getString("group"));
        TreeSet<String> clients = new TreeSet<>();
        for (Connection one : connection.getConnectionSet()) clients.add(one.getClientId());
        return new JSONObject()
            .fluentPut("type", connection.getConsumeType().name())
            .fluentPut("model", connection.getMessageModel().name())
            .fluentPut("from", connection.getConsumeFromWhere().name())
            .fluentPut("clients", clients)
            .fluentPut("subscriptions", new TreeSet<>(connection.getSubscriptionTable().keySet()));
    }

    private Admin() {
    }
}
